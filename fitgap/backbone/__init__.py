"""The VGG16 backbone: its layers, its weights and their sources, its pre-training, and its features."""
