"""The comparisons that claims are made of: paired by seed, and by test image where accuracy is compared."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from fitgap.report.claims.claim import CannotTellError
from fitgap.report.statistics import Estimate, over_seeds, over_seeds_and_images
from fitgap.report.study import Study
from fitgap.report.verdicts import Comparison

ACCURACY = "test_accuracy"
TITLES = {  # measurement -> what it is called, and its unit
    ACCURACY: ("test accuracy", "share"),
    "gap_last": ("final gap", "nats"),
    "val_loss_best": ("best validation loss", "nats"),
    "weight_norm_last": ("norm of the weights", ""),
}


def difference(study: Study, model: str, other: str, measurement: str) -> Estimate:
    """Estimate the mean of `model` - `other`, paired by seed.

    Test accuracies are paired by test image too, and their interval allows for both.
    """
    if measurement == ACCURACY:
        return accuracy_difference(study, model, other)
    return over_seeds(study.seeds(model)[measurement] - study.seeds(other)[measurement])


def accuracy_difference(study: Study, model: str, other: str) -> Estimate:
    """Estimate the difference of two models' test accuracies over seeds and test images.

    The network that is taken as it is (`asis`) is one and the same whatever the seed: its answers are
    compared with those of each of the other's seeds. Where it was asked about some images only, those count.
    """
    right, other_right = right_answers(study, model), right_answers(study, other)
    if model == "asis":
        right = pd.DataFrame(np.tile(right, (len(other_right), 1)), other_right.index, right.columns)
    seeds, images = right.index.intersection(other_right.index), right.columns.intersection(other_right.columns)
    return over_seeds_and_images((right - other_right).loc[seeds, images].to_numpy())


def right_answers(study: Study, model: str) -> pd.DataFrame:
    """Give 1 for each right answer and 0 for each wrong one; rows are seeds, columns test images."""
    if not study.has_answers(model):
        raise CannotTellError(f"{model} left no answers on the test images")
    return study.right(model).astype(float)


def compare(study: Study, model: str, others: Iterable[str], measurement: str, side: int) -> list[Comparison]:
    """Compare a model with each of the others; those that failed are left out."""
    title, unit = TITLES[measurement]
    return [
        Comparison(f"{model} - {other}: {title}", difference(study, model, other, measurement), side, unit)
        for other in others
        if other not in study.failed
    ]


def rivals(study: Study, model: str) -> list[str]:
    """Name all other models of the same family that have results and did not fail."""
    family = model.split("@")[0]
    return [name for name in study.names(family) if name != model and name not in study.failed]


def failed_in(study: Study, *families: str) -> str:
    """Say which models of the families failed; empty if none did."""
    names = [name for name in study.failed if name.split("@")[0] in families]
    return f"counted as failed and left out: {', '.join(names)}" if names else ""
