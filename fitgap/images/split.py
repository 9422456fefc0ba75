"""Draw fixed, stratified splits; all copies of an image are in the same split."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from fitgap.images.prepared import SPLITS
from fitgap.system.errors import UserError

ALL = "all"
LEFT_OUT = ""  # split name of images in no split
Amount = int | str  # a number of images, or "all" that are left


def stratified_split(manifest: pd.DataFrame, amounts: Mapping[str, Amount], seed: int) -> pd.Series:
    """Assign each row to train, validation, test or no split, stratified by class.

    The split is drawn over distinct images. Copies (rows with the same `sha256`) join the split of their first image.

    If the source names a split for some images (`official`), that split is drawn from these images only. Splits that
    the source does not name are drawn from its train images. Images copied between official splits count for test
    first, then for validation; their other copies are left out.

    Parameters
    ----------
    manifest : DataFrame with the columns `sha256`, `label` and `official`
    amounts : number of distinct images, or "all" for the rest, of train, validation and test
    seed : seed of the random draw

    Raises
    ------
    UserError
        If there are too few images for the amounts, or if a class would be missing from a split.

    Returns
    -------
    Series of split names with the index of `manifest`; `LEFT_OUT` for images in no split
    """
    distinct = _drop_copies(manifest)
    given = [name for name in SPLITS if (distinct["official"] == name).any()]
    pools = {name: [name] for name in given} or {"": list(SPLITS)}
    for name in (name for name in SPLITS if given and name not in given):
        pools["train"].append(name)
    drawn: dict[str, pd.DataFrame] = {}
    for official, names in pools.items():
        pool = distinct[distinct["official"] == official]
        drawn |= _share_out(pool, _counts(pool, {name: amounts[name] for name in names}), seed)
    split_of = {image: name for name, rows in drawn.items() for image in rows["sha256"]}
    _check_classes(manifest, drawn, amounts)
    kept = manifest["official"].eq(manifest["sha256"].map(distinct.set_index("sha256")["official"]))
    return manifest["sha256"].map(split_of).where(kept).fillna(LEFT_OUT)


def _drop_copies(manifest: pd.DataFrame) -> pd.DataFrame:
    """Keep one row per distinct image: preferably its test copy, then its validation copy, then the first."""
    by_weight = manifest["official"].map({"test": 0, "validation": 1}).fillna(2).sort_values(kind="stable").index
    return manifest.loc[by_weight].drop_duplicates("sha256").sort_index()


def _counts(pool: pd.DataFrame, amounts: Mapping[str, Amount]) -> dict[str, int]:
    """Replace "all" by the number of remaining images; raise a UserError if the pool is too small."""
    classes, available = pool["label"].nunique(), len(pool)
    named = {name: amount for name, amount in amounts.items() if amount != ALL}
    rest = [name for name in amounts if name not in named]
    if len(rest) > 1:
        raise UserError(
            f"params.yaml: data.{rest[0]}_images and data.{rest[1]}_images: all: both are drawn from the same "
            f"{available} images, so only one of them can have all that are left; give the other a number"
        )
    for name, count in named.items():
        if count < classes:
            raise UserError(f"params.yaml: data.{name}_images: {count}: at least {classes}, one image for each class")
    most = available - classes * len(rest)
    if sum(named.values()) > most:
        keys, sizes = (" + ".join(texts) for texts in ([f"data.{n}_images" for n in named], map(str, named.values())))
        left = f", so that each of the {classes} classes is left a {rest[0]} image" if rest else ""
        raise UserError(f"params.yaml: {keys}: {sizes}: at most {most} of the {available} distinct images{left}")
    return {name: named.get(name, available - sum(named.values())) for name in amounts}


def _share_out(pool: pd.DataFrame, counts: Mapping[str, int], seed: int) -> dict[str, pd.DataFrame]:
    """Draw the splits: separate the last one from the others, then recurse on these."""
    *before, last = counts
    if not before:
        return {last: _draw(pool, counts[last], seed)[0]}
    earlier = {name: counts[name] for name in before}
    first, rest = _draw(pool, sum(earlier.values()), seed)
    return {**_share_out(first, earlier, seed), last: _draw(rest, counts[last], seed)[0]}


def _draw(rows: pd.DataFrame, count: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if count == len(rows):
        return rows, rows.iloc[:0]
    try:
        first, rest = train_test_split(rows, train_size=count, stratify=rows["label"], random_state=seed)
    except ValueError:  # stratifying fails: a class has one image, or the rest has fewer images than classes
        first, rest = train_test_split(rows, train_size=count, random_state=seed)
    return first, rest


def _check_classes(manifest: pd.DataFrame, drawn: Mapping[str, pd.DataFrame], amounts: Mapping[str, Amount]) -> None:
    """Raise a UserError if a class is missing from a split."""
    for name, rows in drawn.items():
        for label in sorted(set(manifest["label"]) - set(rows["label"])):
            images = manifest[manifest["label"] == label]
            raise UserError(
                f"params.yaml: data.{name}_images: {amounts[name]}: class {_name_of(images)} has "
                f"{images['sha256'].nunique()} distinct images, too few to be in each split; add some, or ask for more"
            )


def _name_of(images: pd.DataFrame) -> str:
    return repr(images["class"].iloc[0]) if "class" in images else str(images["label"].iloc[0])


def stratified_subset(labels: np.ndarray, amount: Amount) -> np.ndarray:
    """Return the sorted positions of a stratified subset of at most `amount` images (or "all"), with a fixed seed."""
    whole = pd.DataFrame({"label": labels})
    count = len(whole) if amount == ALL else min(amount, len(whole))
    return np.sort(_draw(whole, count, seed=0)[0].index.to_numpy())


def order_by_split(manifest: pd.DataFrame) -> np.ndarray:
    """Return the row positions in the order of data/prepared/: train, validation, test; without rows in no split.

    Within a split the order of the manifest is kept.
    """
    ranks = manifest["split"].map({name: rank for rank, name in enumerate(SPLITS)})
    return np.argsort(ranks.to_numpy(), kind="stable")[: int(ranks.notna().sum())]
