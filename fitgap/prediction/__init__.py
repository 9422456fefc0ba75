"""Use a trained model: which models there are, which pictures are asked about, and what the model answers."""
