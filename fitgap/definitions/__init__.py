"""Definitions shared by all packages: VGG16's layers, model families, measurements, parameter types."""
