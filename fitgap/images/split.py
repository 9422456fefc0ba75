"""Divide images into a pool and fixed test images, stratified by class; all copies of an image are in the same part."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fitgap.data.draws import count_images, draw_stratified
from fitgap.data.prepared import PARTS
from fitgap.params.sections import Data
from fitgap.system.errors import UserError

LEFT_OUT = ""  # name of the part of images in no part
PART_OF = {"train": "pool"}  # a source's own splits are called parts of the same name, but for this one


def divide(manifest: pd.DataFrame, data: Data) -> pd.Series:
    """Return the part of each row: pool, fixed validation images, test images, or `LEFT_OUT`.

    The division is drawn over distinct images, stratified by class, with `data.split_seed`. Copies (rows with the same
    `sha256`) join the part of their first image.

    If the source names a split for some images (`official`), its test images are the only test images, its validation
    images are fixed as validation images, and the pool consists of the others. Images copied between official splits
    count for test first, then for validation; their other copies are left out.

    Parameters
    ----------
    manifest : DataFrame with the columns `sha256`, `label` and `official`
    data : section of params.yaml; `pool_images`, `test_images` and, for fixed ones, `validation_images` are numbers of
        distinct images, or "all" for the rest

    Raises a UserError if there are too few images for the amounts, or if a class would be missing from a part.
    """
    distinct = _drop_copies(manifest)
    officials = [name for name in ("train", "validation", "test") if (distinct["official"] == name).any()]
    sources = {name: [PART_OF.get(name, name)] for name in officials} or {"": ["pool", "test"]}
    if officials and "test" not in officials:
        sources["train"].append("test")
    drawn: dict[str, pd.DataFrame] = {}
    for official, parts in sources.items():
        rows = distinct[distinct["official"] == official]
        amounts = {part: getattr(data, f"{part}_images") for part in parts}
        drawn |= _share_out(rows, count_images(rows["label"].to_numpy(), amounts), data.split_seed)
    part_of = {image: part for part, rows in drawn.items() for image in rows["sha256"]}
    _check_classes(manifest, {part: rows["label"] for part, rows in drawn.items()}, data)
    is_counted = manifest["official"].eq(manifest["sha256"].map(distinct.set_index("sha256")["official"]))
    return manifest["sha256"].map(part_of).where(is_counted).fillna(LEFT_OUT)


def _drop_copies(manifest: pd.DataFrame) -> pd.DataFrame:
    """Keep one row per distinct image: preferably its test copy, then its validation copy, then the first."""
    by_weight = manifest["official"].map({"test": 0, "validation": 1}).fillna(2).sort_values(kind="stable").index
    return manifest.loc[by_weight].drop_duplicates("sha256").sort_index()


def _share_out(rows: pd.DataFrame, counts: Mapping[str, int], seed: int) -> dict[str, pd.DataFrame]:
    """Draw the parts: separate the last one from the others, then recurse on these."""
    *before, last = counts
    if not before:
        return {last: draw_stratified(rows, counts[last], seed)[0]}
    earlier = {name: counts[name] for name in before}
    first, rest = draw_stratified(rows, sum(earlier.values()), seed)
    return {**_share_out(first, earlier, seed), last: draw_stratified(rest, counts[last], seed)[0]}


def _check_classes(manifest: pd.DataFrame, drawn: Mapping[str, pd.Series], data: Data) -> None:
    """Raise a UserError if a class is missing from a part; `drawn` maps parts to the labels of their images."""
    for name, labels in drawn.items():
        for label in sorted(set(manifest["label"]) - set(labels)):
            images = manifest[manifest["label"] == label]
            raise UserError(
                f"params.yaml: data.{name}_images: {getattr(data, f'{name}_images')}: class {_name_of(images)} has "
                f"{images['sha256'].nunique()} distinct images, too few to be in each split; add some, or ask for more"
            )


def _name_of(images: pd.DataFrame) -> str:
    return repr(images["class"].iloc[0]) if "class" in images else str(images["label"].iloc[0])


def order_by_part(manifest: pd.DataFrame) -> np.ndarray:
    """Return the row positions in the order of data/prepared/: pool, validation, test; without rows in no part.

    Within a part the order of the manifest is kept.
    """
    ranks = manifest["part"].map({name: rank for rank, name in enumerate(PARTS)})
    return np.argsort(ranks.to_numpy(), kind="stable")[: int(ranks.notna().sum())]
