"""fitgap: which remedy closes the gap between training and validation, and when to borrow a network."""
