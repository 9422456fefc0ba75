"""Detect exact and near duplicates among images."""

import hashlib

import numpy as np
import pandas as pd
from PIL import Image

from fitgap.data.prepared import PARTS


def pixel_hash(image: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixels, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()


def difference_hash(image: np.ndarray) -> bytes:
    """Return an image's 64-bit difference hash as 8 bytes; `image` is uint8, (height, width, 3), RGB.

    The image is reduced to 9x8 grey cells. Each bit says whether a cell is brighter than its left neighbour
    (N. Krawetz, Kind of Like That, 2013).
    """
    small = Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(small, dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


def near_duplicates(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are near duplicates, but not copies, of an image that may stand in another split.

    Near duplicates have equal difference hashes. Each image is listed once, with the first image of the same hash. Two
    images of the pool are listed too, because a repetition may draw one for training and the other for validation.
    `manifest` has the columns name, part, sha256 and looks (the difference hash), the answer name, part, like_name and
    like_part.
    """
    rows = manifest[manifest["part"].isin(PARTS)]
    rows = rows.assign(rank=rows["part"].map(PARTS.index)).sort_values("rank", kind="stable")
    firsts = rows.drop_duplicates("looks").set_index("looks")[["name", "part", "sha256", "rank"]].add_prefix("like_")
    pairs = rows.join(firsts, on="looks")
    apart = (pairs["rank"] > pairs["like_rank"]) | (pairs["part"] == "pool")
    alike = pairs[apart & (pairs["sha256"] != pairs["like_sha256"])]
    return alike[["name", "part", "like_name", "like_part"]].reset_index(drop=True)
