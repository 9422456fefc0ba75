"""Where images come from: one function for each value of `data.source`."""

from pathlib import Path

from fitgap.images import cifar10, digits, directory
from fitgap.images.collection import Collection
from fitgap.params import Data


def load(data: Data) -> Collection:
    """Open the images that `data.source` names."""
    return {"digits": _digits, "cifar10": _cifar10, "directory": _directory}[data.source](data)


def _digits(data: Data) -> Collection:
    return digits.load(data.image_size)


def _cifar10(data: Data) -> Collection:
    return cifar10.load(data.image_size)


def _directory(data: Data) -> Collection:
    return directory.load(Path(data.path), data.image_size)
