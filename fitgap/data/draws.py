"""Draw each repetition's training and validation images from the pool.

A seed draws its own images, because the choice of the data is the largest source of variance in such comparisons:
Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021, arXiv:2103.03098. With one
fixed training set, intervals would speak of that set only. Test images are never drawn.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd

from fitgap.data.arrays import Rows
from fitgap.data.prepared import PreparedImages
from fitgap.definitions.determinism import derive_seed
from fitgap.params.sections import Data
from fitgap.system.errors import UserError

TRIAL_DRAWS = 3  # on which the last trials of a model are compared
ALL = "all"
Amount = int | str  # a number of images, or "all" that are left
Examples = tuple[Rows, np.ndarray]  # inputs, labels


def count_images(labels: np.ndarray, amounts: Mapping[str, Amount]) -> dict[str, int]:
    """Replace "all" by the number of remaining images.

    Parameters
    ----------
    labels : class of each distinct image that can be drawn
    amounts : name -> `data.NAME_images`

    Raises a UserError if there are too few images, or if an amount is smaller than the number of classes.
    """
    classes, available = len(np.unique(labels)), len(labels)
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


def draw_rows(images: PreparedImages, data: Data, seed: int) -> dict[str, np.ndarray]:
    """Draw one repetition: return the rows of each split ("train", "validation", "test"), int64, ascending.

    The training images are the first of a random order, the validation images the last of it. So a smaller training
    set is part of a larger one of the same seed, and the validation images do not depend on its size. The amounts in
    `data` count distinct images; copies of a drawn image join it. Raises a UserError if the pool is too small.
    """
    copies, order = images.copies[images.rows["pool"]], stratified_order(*_distinct(images), seed)
    counts = count_drawn(images, data)
    picked = {"train": order[: counts["train"]]}
    if "validation" in counts:
        picked["validation"] = order[len(order) - counts["validation"] :]
    fixed = {name: np.arange(rows.start, rows.stop) for name, rows in images.rows.items() if name != "pool"}
    return fixed | {name: np.flatnonzero(np.isin(copies, copies[rows])) for name, rows in picked.items()}


def trial_seeds(seeds: Collection[int]) -> list[int]:
    """Return the seeds of the draws that trials use: none of them is one of `seeds`."""
    candidates = (derive_seed(number, "trial") for number in itertools.count())
    return list(itertools.islice((seed for seed in candidates if seed not in seeds), TRIAL_DRAWS))


def _distinct(images: PreparedImages) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the label of each distinct image of the pool."""
    pool = images.rows["pool"]
    rows = np.sort(np.unique(images.copies[pool], return_index=True)[1])
    return rows, images.labels[pool][rows]


def stratified_order(rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return `rows` in a random order in which each beginning and each end has all classes in their shares.

    The members of a class are shuffled and placed at equal distances, the first ones at the beginning and the last
    ones at the end. So a beginning, or an end, with as many images as there are classes has one of each.
    """
    order = np.random.default_rng(derive_seed(seed, "draw")).permutation(len(rows))
    places = np.zeros(len(rows))
    for label in np.unique(labels):
        members = np.flatnonzero(labels[order] == label)
        places[members] = np.linspace(0, 1, len(members))
    return rows[order[np.argsort(places, kind="stable")]]


def count_drawn(images: PreparedImages, data: Data) -> dict[str, int]:
    """Return how many distinct images of the pool a repetition draws: for "train", and "validation" if not fixed."""
    fixed = images.rows["validation"].stop > images.rows["validation"].start
    amounts: dict[str, Amount] = {"train": data.train_images}
    if not fixed:
        amounts["validation"] = data.validation_images
    return count_images(_distinct(images)[1], amounts)


def drawn_splits(images: PreparedImages, data: Data) -> list[str]:
    """Return the splits whose images differ between repetitions; empty if nothing can be drawn."""
    counts, available = count_drawn(images, data), len(_distinct(images)[0])
    return [name for name, count in counts.items() if count < available]


def check_drawing(images: PreparedImages, data: Data, sizes: Iterable[int]) -> None:
    """Raise a UserError if a repetition could not draw its images, or one of the learning curve's sizes."""
    splits = len(count_drawn(images, data))
    labels, counts = np.unique(_distinct(images)[1], return_counts=True)
    advice = "add some" if data.pool_images == ALL else f"add some, or raise data.pool_images: {data.pool_images}"
    for label, count in zip(labels, counts, strict=True):
        if count < splits:
            raise UserError(
                f"params.yaml: data.train_images, data.validation_images: class {images.class_names[label]!r} has "
                f"{count} distinct image in the pool, too few to be in both splits; {advice}"
            )
    for size in sizes:
        try:
            count_drawn(images, data.model_copy(update={"train_images": size}))
        except UserError as error:
            raise UserError(str(error).replace("data.train_images", "learning_curve.sizes")) from None


def examples_of(images: PreparedImages, inputs: np.ndarray, rows: dict[str, np.ndarray]) -> dict[str, Examples]:
    """Return split -> (inputs, labels); `inputs` has one row per image, such as its feature map."""
    return {split: (Rows(inputs, found), images.labels[found]) for split, found in rows.items()}


def draw_stratified(rows: pd.DataFrame, count: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw `count` rows, stratified by the column `label` where it has enough of each; return them and the rest."""
    from sklearn.model_selection import train_test_split  # its import takes a second, which training stages save

    if count == len(rows):
        return rows, rows.iloc[:0]
    try:
        first, rest = train_test_split(rows, train_size=count, stratify=rows["label"], random_state=seed)
    except ValueError:  # stratifying fails: a class has one image, or the rest has fewer images than classes
        first, rest = train_test_split(rows, train_size=count, random_state=seed)
    return first, rest


def stratified_subset(labels: np.ndarray, amount: Amount) -> np.ndarray:
    """Return the sorted positions of a stratified subset of at most `amount` images (or "all"), with a fixed seed."""
    whole = pd.DataFrame({"label": labels})
    count = len(whole) if amount == ALL else min(amount, len(whole))
    return np.sort(draw_stratified(whole, count, seed=0)[0].index.to_numpy())
