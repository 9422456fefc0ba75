"""Arrays on disk that are written and read in parts, in memory that does not grow with them.

A memory map counts every page that it touches as the process's own until it is closed: one map kept open over 1,250 MiB
grew the process by 1,250 MiB, a map reopened for every 512 rows by 16. So each part opens a map of its own.
"""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap


def create_array(path: Path, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> None:
    """Create an .npy file of zeros, in place of what stood there."""
    open_memmap(path, "w+", dtype, shape)


def has_shape(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether a whole .npy file of this shape stands there."""
    try:
        return open_memmap(path, "r").shape == shape
    except (OSError, ValueError):
        return False


def write_rows(path: Path, start: int, rows: np.ndarray) -> None:
    """Write rows into an .npy file, from row `start` on."""
    open_memmap(path, "r+")[start : start + len(rows)] = rows


def read_rows(array: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return a copy of some rows; `array` may be memory-mapped, and its own pages stay untouched."""
    if isinstance(array, np.memmap):
        array = open_memmap(array.filename, "r")
    return np.array(array[start:end])
