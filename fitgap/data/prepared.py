"""Read and write data/prepared/: images and labels as memory-mapped arrays in the order of the parts, with a manifest.

A folder has three parts. Each repetition draws its training images from the pool, and its validation images too unless
the source fixes them. Test images are fixed.

images.npy     uint8, (n, size, size, 3), RGB, 0-255; the pool first, then fixed validation images, then test images
labels.npy     int64, (n,), indices into `class_names`
manifest.csv   one line per row: row, name, sha256 (of the pixels), label, class, part
prepared.json  source, class names, rows of each part, duplicates, digest
near_duplicates.csv   one line per near duplicate of an earlier image: name, part, like_name, like_part
unusable.csv          one line per unusable file: name, reason
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fitgap.data.arrays import write_rows

PARTS = ("pool", "validation", "test")
BATCH_BYTES = 2**20  # written at once


@dataclass(frozen=True)
class PreparedImages:
    """Images with labels, in three parts."""

    images: np.ndarray  # uint8, (n, size, size, 3), RGB; memory-mapped when read from disk
    labels: np.ndarray  # int64, (n,)
    class_names: list[str]
    rows: dict[str, slice]  # part -> its rows; "validation" is empty unless the source fixes the validation images
    about: dict[str, Any]  # the contents of prepared.json: source, exact_duplicates, near_duplicates, digest
    copies: np.ndarray  # int64, (n,); rows with equal numbers are copies of one image

    @property
    def identity(self) -> dict[str, str]:
        """Name and digest, as used in records and in MLflow's dataset input."""
        return {"name": self.about["source"], "digest": self.about["digest"]}

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and labels of one part."""
        return self.images[self.rows[name]], self.labels[self.rows[name]]


def read_prepared(folder: Path) -> PreparedImages:
    """Open a prepared folder; `images` is memory-mapped, so no pixels are read yet."""
    about = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
    ends = np.cumsum([about["rows"][name] for name in PARTS]).tolist()
    rows = {name: slice(end - about["rows"][name], end) for name, end in zip(PARTS, ends, strict=True)}
    images = np.load(folder / "images.npy", mmap_mode="r")
    copies = pd.factorize(pd.read_csv(folder / "manifest.csv", usecols=["sha256"])["sha256"])[0]
    return PreparedImages(images, np.load(folder / "labels.npy"), about["class_names"], rows, about, copies)


def write_prepared(
    folder: Path, images: Iterable[np.ndarray], image_size: int, manifest: pd.DataFrame, about: dict[str, Any]
) -> dict[str, Any]:
    """Write images, labels, manifest.csv and prepared.json, whose contents are returned, into an existing folder.

    Parameters
    ----------
    images : iterable of uint8 arrays with image_size * image_size * 3 values, in the manifest's order
    manifest : DataFrame with the columns name, sha256, label, class and part, sorted by part
    about : entries for prepared.json, without `rows` and `digest`
    """
    _write_images(folder / "images.npy", images, (len(manifest), image_size, image_size, 3))
    np.save(folder / "labels.npy", manifest["label"].to_numpy(np.int64))
    text = manifest.rename_axis("row").reset_index().to_csv(index=False, lineterminator="\n")
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    rows = {name: int((manifest["part"] == name).sum()) for name in PARTS}
    about = {**about, "rows": rows, "digest": hashlib.sha256(text.encode()).hexdigest()}
    (folder / "prepared.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return about


def _write_images(path: Path, images: Iterable[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write images to an .npy file in batches."""
    np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    remaining, size = iter(images), max(1, BATCH_BYTES // math.prod(shape[1:]))
    for start in range(0, shape[0], size):
        batch = [image.reshape(shape[1:]) for image in itertools.islice(remaining, size)]
        write_rows(path, start, np.stack(batch))
