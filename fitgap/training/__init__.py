"""Training: the loop shared by all models, evaluation, and experiments over several seeds."""
