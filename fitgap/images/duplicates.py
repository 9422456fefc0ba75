"""Which images are the same, and which only look it."""

import hashlib

import numpy as np
import pandas as pd
from PIL import Image

from fitgap.images.prepared import SPLITS


def pixel_hash(image: np.ndarray) -> str:
    """Give the sha256 of an image's pixels, as hexadecimal text."""
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()


def difference_hash(image: np.ndarray) -> bytes:
    """Give an image's 64-bit difference hash; `image` is uint8, (height, width, 3).

    Its bits say whether brightness rises or falls from each of 9x8 coarse cells to the next (N. Krawetz, Kind of
    Like That, 2013).
    """
    small = Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(small, dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


def near_duplicates(manifest: pd.DataFrame) -> pd.DataFrame:
    """List the images that look like one of an earlier split without being equal to it.

    Two images look alike when their difference hashes are equal. Each is listed once, with the first such image.

    Parameters
    ----------
    manifest : DataFrame with the columns name, split, sha256, looks (the difference hash)

    Returns
    -------
    DataFrame with the columns name, split, like_name, like_split
    """
    rows = manifest[manifest["split"].isin(SPLITS)]
    rows = rows.assign(rank=rows["split"].map(SPLITS.index)).sort_values("rank", kind="stable")
    firsts = rows.drop_duplicates("looks").set_index("looks")[["name", "split", "sha256", "rank"]].add_prefix("like_")
    pairs = rows.join(firsts, on="looks")
    alike = pairs[(pairs["rank"] > pairs["like_rank"]) & (pairs["sha256"] != pairs["like_sha256"])]
    return alike[["name", "split", "like_name", "like_split"]].reset_index(drop=True)
