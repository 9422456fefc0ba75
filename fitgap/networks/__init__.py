"""Build networks: the notes' CNN, the classifier on features, and whole networks for inference."""
