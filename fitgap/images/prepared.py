"""The folder data/prepared/: images and labels as memory-mapped arrays, split by split, with a manifest.

images.npy     uint8, (n, size, size, 3), RGB, 0-255; all training rows first, then validation, then test
labels.npy     int64, (n,), a position in `class_names`
manifest.csv   one line per row: row, name, sha256 (of the pixels), label, class, split
prepared.json  source, class names, rows of each split, duplicates, digest
near_duplicates.csv   one line per image that looks like one of an earlier split: name, split, and those of the other
unusable.csv          one line per file that could not be used: name, reason
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PreparedImages:
    """Images with labels and a fixed split.

    Attributes
    ----------
    images : array
        uint8, (n, size, size, 3), RGB; memory-mapped when read from disk.
    labels : array
        int64, (n,).
    class_names : list of str
    rows : dict
        Split name -> slice of rows.
    about : dict
        What prepared.json says: `source`, `exact_duplicates`, `near_duplicates`, `digest`.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    rows: dict[str, slice]
    about: dict[str, Any]

    @property
    def identity(self) -> dict[str, str]:
        """Name and digest, as records and MLflow's dataset input carry them."""
        return {"name": self.about["source"], "digest": self.about["digest"]}

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Give the images and labels of one split."""
        return self.images[self.rows[name]], self.labels[self.rows[name]]

    def with_labels(self, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Give inputs, one row per image such as its features, and labels, by split."""
        return {name: (inputs[rows], self.labels[rows]) for name, rows in self.rows.items()}


def read(folder: Path) -> PreparedImages:
    """Open data/prepared/ without reading the pixels."""
    about = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
    ends = np.cumsum([about["rows"][name] for name in SPLITS]).tolist()
    rows = {name: slice(end - about["rows"][name], end) for name, end in zip(SPLITS, ends, strict=True)}
    images = np.load(folder / "images.npy", mmap_mode="r")
    return PreparedImages(images, np.load(folder / "labels.npy"), about["class_names"], rows, about)


def write(
    folder: Path, images: Iterable[np.ndarray], image_size: int, manifest: pd.DataFrame, about: dict[str, Any]
) -> dict[str, Any]:
    """Leave images in the order of the manifest's rows; give what prepared.json says.

    `manifest` has the columns name, sha256, label, class and split, sorted by split; `images` gives uint8,
    (image_size, image_size, 3), in the same order, one by one, so that memory stays flat.
    """
    _write_images(folder / "images.npy", images, (len(manifest), image_size, image_size, 3))
    np.save(folder / "labels.npy", manifest["label"].to_numpy(np.int64))
    text = manifest.rename_axis("row").reset_index().to_csv(index=False, lineterminator="\n")
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    rows = {name: int((manifest["split"] == name).sum()) for name in SPLITS}
    about = {**about, "rows": rows, "digest": hashlib.sha256(text.encode()).hexdigest()}
    (folder / "prepared.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return about


def _write_images(path: Path, images: Iterable[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write an .npy file image by image; a memory map would count every page that it touches."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for image in images:
            file.write(image.tobytes())
