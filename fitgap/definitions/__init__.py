"""What every other package names: VGG16's layers, model families, measurements, types of params."""
