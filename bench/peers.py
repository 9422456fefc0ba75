"""VGG16's base and the notes' network in PyTorch, which also writes the base for ONNX Runtime and OpenVINO."""

import io
import warnings

import numpy as np
import torch
from torch import nn

MEAN_BGR = (103.939, 116.779, 123.68)


class Base(nn.Module):
    """VGG16 without its classifier: RGB images, uint8 (n, size, size, 3), to `block5_pool`, channels last.

    `weights` maps layers to [kernel (3, 3, in, out), bias (out,)], in order.
    """

    def __init__(self, weights: dict[str, list[np.ndarray]]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1))
        layers: list[nn.Module] = []
        for name, (kernel, bias) in weights.items():
            layers += [nn.MaxPool2d(2)] if name.endswith("conv1") and layers else []
            layers += [nn.Conv2d(*kernel.shape[2:], 3, padding=1), nn.ReLU(inplace=True)]
            layers[-2].weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            layers[-2].bias.data = torch.from_numpy(bias)
        self.layers = nn.Sequential(*layers, nn.MaxPool2d(2)).to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features, float32 (n, size / 32, size / 32, 512)."""
        bgr = images.permute(0, 3, 1, 2).flip(1).float() - self.mean
        return self.layers(bgr.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)


def as_onnx(base: Base, size: int) -> bytes:
    """Return the base as an ONNX model for images of this size, in batches of any number."""
    file, images = io.BytesIO(), torch.zeros((2, size, size, 3), dtype=torch.uint8)
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs one more package
        torch.onnx.export(base, (images,), file, dynamo=False, input_names=["image"], dynamic_axes={"image": [0]})
    return file.getvalue()


def notes_network(size: int, classes: int, filters: list[int], dense_units: int) -> nn.Sequential:
    """Build the notes' network without remedies: blocks of two convolutions and a pooling, a dense layer, logits."""
    layers: list[nn.Module] = []
    channels = 3
    for width in filters:
        for before in (channels, width):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
        layers.append(nn.MaxPool2d(2))
        channels, size = width, size // 2
    layers += [nn.Flatten(), nn.Linear(channels * size * size, dense_units), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(dense_units, classes)).to(memory_format=torch.channels_last)
