"""VGG16: its layers, the printed characters it learns from, and its features."""
