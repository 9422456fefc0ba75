"""A fixed, stratified split in which no image stands on two sides."""

import hashlib

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

from fitgap.errors import UserError
from fitgap.images.prepared import SPLITS


def pixel_hashes(images: np.ndarray) -> list[str]:
    """Give the sha256 of each image's pixels, as hexadecimal text."""
    return [hashlib.sha256(np.ascontiguousarray(image)).hexdigest() for image in images]


def stratified_split(manifest: pd.DataFrame, train: int, validation: int, seed: int) -> pd.Series:
    """Assign each row to train, validation or test, with the classes' shares kept.

    Rows with the same `sha256` go to the same split: the split is drawn over distinct images, and copies
    follow their first. Counts are of distinct images.

    Parameters
    ----------
    manifest : DataFrame with the columns `sha256` and `label`
    train, validation : numbers of distinct images; all others are for the test
    seed : of the draw

    Returns
    -------
    Series of split names, indexed as `manifest`
    """
    distinct = manifest.drop_duplicates("sha256")
    _check_sizes(distinct["label"], train, validation)
    chosen, test = _draw(distinct, train + validation, seed)
    train_rows, validation_rows = _draw(chosen, train, seed)
    by_hash = pd.concat(
        [part["sha256"].to_frame().assign(split=name)
         for name, part in zip(SPLITS, (train_rows, validation_rows, test), strict=True)]
    ).set_index("sha256")["split"]  # fmt: skip
    return manifest["sha256"].map(by_hash)


def _draw(rows: pd.DataFrame, count: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    first, rest = train_test_split(rows, train_size=count, stratify=rows["label"], random_state=seed)
    return first, rest


def _check_sizes(labels: pd.Series, train: int, validation: int) -> None:
    classes, available = labels.nunique(), len(labels)
    for key, count in (("train_images", train), ("validation_images", validation)):
        if count < classes:
            raise UserError(f"params.yaml: data.{key}: {count}: at least {classes}, one image for each class")
    most = available - classes
    if train + validation > most:
        raise UserError(
            f"params.yaml: data.train_images + data.validation_images: {train} + {validation}: at most {most} "
            f"of the {available} distinct images, so that each of the {classes} classes is left a test image"
        )


def order_by_split(splits: pd.Series) -> np.ndarray:
    """Give the rows' order in data/prepared/: train, then validation, then test, as they came within each."""
    return np.argsort(splits.map(SPLITS.index).to_numpy(), kind="stable")


def near_duplicates(images: np.ndarray, splits: pd.Series) -> int:
    """Count validation and test images that look like a training image without being equal to it.

    Two images look alike when their difference hashes are equal: 64 bits that say whether brightness rises
    or falls from each of 9x8 coarse cells to the next (N. Krawetz, Kind of Like That, 2013).
    """
    hashes = pd.Series([difference_hash(image) for image in images], index=splits.index)
    seen = set(hashes[splits == "train"])
    return int(hashes[splits != "train"].isin(seen).sum())


def difference_hash(image: np.ndarray) -> bytes:
    """Give an image's 64-bit difference hash; `image` is uint8, (height, width, 3)."""
    small = Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(small, dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()
