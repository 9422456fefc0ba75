"""The interface of image sources: pictures are yielded one by one, so that memory stays constant."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from fitgap.images.traits import Traits


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
    traits : measured from the pixels; None if the source has not done so
    """

    name: str
    label: int
    pixels: np.ndarray | None
    official: str = ""
    reason: str = ""
    traits: Traits | None = None


@dataclass(frozen=True)
class Collection:
    """A source of images.

    Attributes
    ----------
    class_names : names of the classes; labels are indices into this list
    count : number of pictures, unusable ones included
    pictures : returns an iterator over the pictures, whose order is the same every time; close it to stop early
    warnings : one line each, for the user
    """

    class_names: list[str]
    count: int
    pictures: Callable[[], Generator[Picture, None, None]]
    warnings: tuple[str, ...] = ()
