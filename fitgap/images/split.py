"""A fixed, stratified split in which no image stands on two sides."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from fitgap.images.prepared import SPLITS
from fitgap.system.errors import UserError

ALL = "all"
LEFT_OUT = ""  # the split of images that nobody asked for
Amount = int | str  # a number of images, or "all" that are left


def stratified_split(manifest: pd.DataFrame, amounts: Mapping[str, Amount], seed: int) -> pd.Series:
    """Assign each row to train, validation, test, or none of them, with the classes' shares kept.

    Rows with the same `sha256` go to the same split: the split is drawn over distinct images, and copies
    follow their first. Amounts are of distinct images. Where the source itself names a split for some images
    (`official`), that split is drawn from them alone, and the others from what it calls train; a copy of a test
    image is left out of all others, and a copy of a validation image out of train.

    Parameters
    ----------
    manifest : DataFrame with the columns `sha256`, `label` and `official`
    amounts : number of images, or "all" that are left, for train, validation and test
    seed : of the draw

    Returns
    -------
    Series of split names, indexed as `manifest`; `LEFT_OUT` for images of no split
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
    """Keep one of each image: that of the test where there is one, else of validation, else the first."""
    by_weight = manifest["official"].map({"test": 0, "validation": 1}).fillna(2).sort_values(kind="stable").index
    return manifest.loc[by_weight].drop_duplicates("sha256").sort_index()


def _counts(pool: pd.DataFrame, amounts: Mapping[str, Amount]) -> dict[str, int]:
    """Turn "all" into what the others leave; check that the pool can give so much."""
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
    """Draw the last split from what the ones before it leave, and so on."""
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
    except ValueError:  # a class with a single image, or fewer images left over than classes
        first, rest = train_test_split(rows, train_size=count, random_state=seed)
    return first, rest


def _check_classes(manifest: pd.DataFrame, drawn: Mapping[str, pd.DataFrame], amounts: Mapping[str, Amount]) -> None:
    """Refuse a split in which a class is missing."""
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
    """Give the positions, rising, of at most `amount` images (or "all"), the classes' shares kept; always the same."""
    whole = pd.DataFrame({"label": labels})
    count = len(whole) if amount == ALL else min(amount, len(whole))
    return np.sort(_draw(whole, count, seed=0)[0].index.to_numpy())


def order_by_split(manifest: pd.DataFrame) -> np.ndarray:
    """Give the rows' order in data/prepared/: train, validation, test, as they came within each; none left out."""
    ranks = manifest["split"].map({name: rank for rank, name in enumerate(SPLITS)})
    return np.argsort(ranks.to_numpy(), kind="stable")[: int(ranks.notna().sum())]
