"""The interface of image sources: pictures are yielded one by one, so that memory stays constant."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Picture:
    """One picture of a source, or the reason why it cannot be used."""

    name: str  # file name or index, unique within the source
    label: int  # index into the collection's class names
    pixels: np.ndarray | None  # uint8, (size, size, 3), RGB; None if the file cannot be used
    official: str = ""  # the split given by the source: "train", "validation" or "test"; "" if it gives none
    reason: str = ""  # why the file cannot be used; "" if it can


@dataclass(frozen=True)
class Collection:
    """A source of images."""

    class_names: list[str]  # labels are indices into this list
    count: int  # of pictures, unusable ones included
    pictures: Callable[[], Generator[Picture, None, None]]  # in the same order every time; close it to stop early
    close: Callable[[], None] = lambda: None  # deletes temporary files; no pictures can be read after it
    labels: Mapping[str, tuple[int, str]] = field(default_factory=dict)  # name of a file -> its class, official split
    folder: Path | None = None  # of these files
    others: Sequence[str] = ()  # files in class folders that are named like something else, and left out
