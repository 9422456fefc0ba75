"""Numbers of images to draw: a number, or all that are left."""

from collections.abc import Mapping

import numpy as np

from fitgap.system.errors import UserError

ALL = "all"
Amount = int | str  # a number of images, or "all" that are left


def count_images(labels: np.ndarray, amounts: Mapping[str, Amount]) -> dict[str, int]:
    """Replace "all" by the number of remaining images.

    Parameters
    ----------
    labels : class of each distinct image that can be drawn
    amounts : name -> `data.NAME_images`

    Raises
    ------
    UserError
        If there are too few images, or if an amount is smaller than the number of classes.
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
