"""VGG16's base and the notes' network in PyTorch."""

import numpy as np
import torch
from torch import nn


def vgg16_base(weights: dict[str, list[np.ndarray]]) -> nn.Sequential:
    """Build VGG16's convolutional base from `weights`: layer -> [kernel (3, 3, in, out), bias (out,)]."""
    layers: list[nn.Module] = []
    previous = "block1"
    for name, (kernel, bias) in weights.items():
        block = name.split("_")[0]
        layers += [nn.MaxPool2d(2)] if block != previous else []
        layers += [_convolution(kernel, bias), nn.ReLU(inplace=True)]
        previous = block
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _convolution(kernel: np.ndarray, bias: np.ndarray) -> nn.Conv2d:
    layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


def notes_network(size: int, classes: int, filters: list[int], dense_units: int) -> nn.Sequential:
    """Build the notes' network without remedies: blocks of two convolutions and a pooling, a dense layer, logits."""
    layers: list[nn.Module] = []
    channels = 3
    for width in filters:
        for before in (channels, width):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
        layers.append(nn.MaxPool2d(2))
        channels, size = width, size // 2
    dense = nn.Linear(channels * size * size, dense_units)
    return nn.Sequential(*layers, nn.Flatten(), dense, nn.ReLU(inplace=True), nn.Linear(dense_units, classes))
