"""The interface of image sources: pictures are yielded one by one, so that memory stays constant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    """One picture of a source, or the reason why it cannot be used.

    Attributes
    ----------
    name : file name or index, unique within the source
    label : index into the collection's class names
    pixels : uint8, (size, size, 3), RGB; None if the file cannot be used
    official : the split given by the source: "train", "validation" or "test"; "" if it gives none
    reason : why the file cannot be used; "" if it can
    """

    name: str
    label: int
    pixels: np.ndarray | None
    official: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Collection:
    """A source of images.

    Attributes
    ----------
    class_names : names of the classes; labels are indices into this list
    count : number of pictures, unusable ones included
    pictures : returns an iterator over the pictures; their order is the same every time
    warnings : one line each, for the user
    """

    class_names: list[str]
    count: int
    pictures: Callable[[], Iterator[Picture]]
    warnings: tuple[str, ...] = ()
