"""What every source of images gives: pictures one by one, so that memory does not grow with their number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    """One picture of a source, or the reason why there is none.

    Attributes
    ----------
    name : its file or index, unique within the source
    label : position in the collection's class names
    pixels : uint8, (size, size, 3), RGB; None where the file cannot be used
    official : the split that the source itself puts it in: train, validation, test, or "" where it does not say
    reason : why it cannot be used; "" if it can
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
    class_names : of the labels, in order
    count : number of pictures, unusable ones included
    pictures : gives them one by one, in an order of the source's own that is always the same
    """

    class_names: list[str]
    count: int
    pictures: Callable[[], Iterator[Picture]]
