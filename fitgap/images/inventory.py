"""What a folder of pictures holds, before any of it is prepared: how many of each class, how large, how slow."""

import contextlib
import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fitgap.images.decoding import UnusableError, decode
from fitgap.images.sources import directory

SAMPLE, DECODED = 50, 32  # pictures looked at, and the side that they are decoded to, in pixels


@dataclass(frozen=True)
class Inventory:
    """The pictures of a folder or archive."""

    counts: pd.DataFrame  # pictures by class (rows) and official split (columns: "train", ...; only "" without splits)
    side: int  # the shorter side in pixels, median of a sample
    decode_seconds: float  # of one picture, on one core

    @property
    def per_class(self) -> pd.Series:
        """Pictures of each class."""
        return self.counts.sum(axis=1)

    def of(self, split: str) -> int:
        """Return the pictures of an official split; 0 if there is no such folder."""
        return int(self.counts[split].sum()) if split in self.counts else 0


def take_inventory(path: Path, split_folders: str = "by_name") -> Inventory:
    """Count the pictures of a folder or archive, and look at a sample of them.

    Raises a UserError as `directory.load` does.
    """
    with contextlib.closing(directory.load(path, DECODED, split_folders)) as collection:
        rows = pd.DataFrame(collection.labels.values(), columns=["label", "split"])
        counts = pd.crosstab(np.asarray(collection.class_names)[rows["label"]], rows["split"])
        names, sides, begin = sorted(collection.labels), [], time.perf_counter()
        for name in names[:: max(1, len(names) // SAMPLE)]:
            with contextlib.suppress(OSError, UnusableError):  # `prepare` names them
                content = (collection.folder / name).read_bytes()
                decode(content, DECODED)
                sides.append(min(Image.open(io.BytesIO(content)).size))
    seconds = (time.perf_counter() - begin) / max(1, len(sides))
    return Inventory(counts, int(np.median(sides or [DECODED])), seconds)
