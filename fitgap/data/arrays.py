"""Read and write .npy files in parts, in constant memory.

Every page that a memory map touches counts towards the process's memory until the map is closed. One map kept open over
1,250 MiB grew the process by 1,250 MiB; a map reopened for every 512 rows grew it by 16 MiB. So each call opens its own
map.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap


def has_shape(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether `path` is a complete .npy file of this shape."""
    try:
        return open_memmap(path, "r").shape == shape
    except (OSError, ValueError):
        return False


def write_rows(path: Path, start: int, rows: np.ndarray) -> None:
    """Write rows into an existing .npy file, starting at row `start`."""
    open_memmap(path, "r+")[start : start + len(rows)] = rows


@dataclass(frozen=True)
class Rows:
    """Some rows of an array; those of a memory-mapped array are read when they are sliced."""

    array: np.ndarray  # (n, ...)
    positions: np.ndarray  # int64, (rows,), ascending

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> np.ndarray:
        array = self.array
        if isinstance(array, np.memmap):
            array = open_memmap(array.filename, "r")  # so that its own map does not grow
        return np.asarray(array[self.positions[part]])
