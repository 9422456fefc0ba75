"""What is trained and what leaves: the notes' CNN, the classifier on features, and whole networks."""
