"""Images: sources, decoding, splitting and storage."""
