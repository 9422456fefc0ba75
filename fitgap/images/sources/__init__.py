"""Image sources: one entry in `SOURCES` for each value of `data.source`."""

from collections.abc import Callable
from pathlib import Path

from fitgap.images.sources import data_sets, directory
from fitgap.images.sources.collection import Collection
from fitgap.params.sections import Data

SOURCES: dict[str, Callable[[Data], Collection]] = {
    "digits": lambda data: data_sets.load_digits(data.image_size),
    "cifar10": lambda data: data_sets.load_cifar10(data.image_size),
    "directory": lambda data: directory.load(Path(data.path), data.image_size, data.split_folders),
}


def load_collection(data: Data) -> Collection:
    """Return the collection of images selected by `data.source`."""
    return SOURCES[data.source](data)
