"""Calibration: whether a model is right as often as its probabilities say.

Of the test images about which a calibrated model is 80% sure, it gets 80% right. Networks that overfit tend to be too
sure: Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks, ICML 2017, arXiv:1706.04599. The measures
are taken from the probabilities that a model gives on the test images, so no stage runs for them.

The claims about it are a question of fitgap itself, not of the notes: a remedy that closes the gap should also calm a
network that is too sure of itself, because the loss punishes false certainty most. Label smoothing is known to improve
the calibration of large networks (Müller, Kornblith, Hinton, When Does Label Smoothing Help?, NeurIPS 2019,
arXiv:1906.02629).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from fitgap.claims.choices import OF_ANSWERS
from fitgap.claims.claim import CannotTellError, Claim
from fitgap.claims.comparisons import ACCURACY_MARGIN, BASELINE, IMAGES, Quantity, against, variant_obstacle
from fitgap.claims.study import Study
from fitgap.inference.estimates import Estimate
from fitgap.params.schema import Params

BINS = 15  # as Guo et al. 2017
SIMULATED = 20  # sets of answers for each repetition
STATEMENTS = {
    "dropout": "A remedy that closes the gap makes the probabilities more honest too: dropout lowers the calibration "
    "error.",
    "label_smoothing": "Label smoothing makes the probabilities more honest: it lowers the calibration error.",
}


def assign_bins(confidences: np.ndarray) -> np.ndarray:
    """Return the bin of each confidence: 0 for (0, 1/15], ..., 14 for (14/15, 1]."""
    return np.clip(np.ceil(np.asarray(confidences, dtype=np.float64) * BINS).astype(int) - 1, 0, BINS - 1)


def signed_gaps(confidences: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return each image's part of the expected calibration error (ECE), its mean over images: float64, (seeds, images).

    The ECE is the mean over the images of |confidence - accuracy| of the bin that an image is in: Naeini, Cooper,
    Hauskrecht, AAAI 2015; Guo et al. 2017, with 15 bins of equal width. So an image's part is its confidence minus its
    correctness, with the sign that makes its bin's sum positive. Without the image the sum changes by its part, as
    long as no sign does. So the parts stand for the images in an analysis of variance (the delta method).

    The ECE of few images is biased upwards, because chance alone parts confidence and accuracy in a bin (Kumar, Liang,
    Ma, Verified Uncertainty Calibration, NeurIPS 2019, arXiv:1909.10155; Nixon et al., Measuring Calibration in Deep
    Learning, 2019, arXiv:1904.01685). Compare it only between models on the same images. The bias is usually
    larger for the better calibrated one, so a difference looks smaller than it is.

    Parameters
    ----------
    confidences : float, (seeds, images): the highest probability that a model gives to a class
    right : bool or float, (seeds, images): whether that class is the true one
    """
    gaps = np.asarray(confidences, dtype=np.float64) - np.asarray(right, dtype=np.float64)
    place = assign_bins(confidences) + BINS * np.arange(len(gaps))[:, None]
    sums = np.bincount(place.ravel(), gaps.ravel(), minlength=BINS * len(gaps))
    return gaps * np.where(sums < 0, -1.0, 1.0)[place]


def expected_by_chance(confidences: np.ndarray) -> float:
    """Return the calibration error that a perfectly calibrated model of these confidences has by chance alone.

    Its answers are right as often as it is sure, image by image: the mean of the error over simulated answers, with a
    fixed seed. This is the floor that so few images leave under every measured error (consistency resampling: Bröcker
    and Smith, Increasing the Reliability of Reliability Diagrams, Weather and Forecasting 22 (2007),
    doi:10.1175/WAF993.1).
    """
    many = np.tile(confidences, (SIMULATED, 1))
    return float(signed_gaps(many, np.random.default_rng(0).random(many.shape) < many).mean())


@dataclass(frozen=True)
class Answers:
    """A model's confidences and whether it is right: DataFrames, one row per seed, one column per test image."""

    confidences: pd.DataFrame
    right: pd.DataFrame

    @cached_property
    def parts(self) -> pd.DataFrame:
        """Each image's part of the expected calibration error, from `signed_gaps`."""
        parts = signed_gaps(self.confidences.to_numpy(), self.right.to_numpy())
        return pd.DataFrame(parts, self.right.index, self.right.columns)

    @property
    def errors(self) -> pd.Series:
        """The expected calibration error of each seed."""
        return self.parts.mean(axis=1)

    @property
    def floor(self) -> float:
        """The mean error that chance alone would give."""
        return expected_by_chance(self.confidences.to_numpy())

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy, over all seeds: above 0 if the model is too sure of itself."""
        return float(self.confidences.to_numpy(dtype=np.float64).mean() - self.right.to_numpy().mean())


def read_answers(study: Study, name: str) -> Answers | None:
    """Return a model's answers; None if it has none, or diverged."""
    if name in study.failed or not study.has_answers(name):
        return None
    right = study.right[name]
    confidences = study.results[name].test_probabilities.max(axis=-1)
    return Answers(pd.DataFrame(confidences, right.index, right.columns), right)


def calibration_difference(study: Study, model: str, other: str) -> Estimate:
    """Estimate the difference of two models' calibration errors, paired by seed and test image.

    Raises a CannotTellError if one of them left no answers, or diverged.
    """
    own, others = answers = [read_answers(study, name) for name in (model, other)]
    if None in answers:
        raise CannotTellError(f"{other if own else model} left no answers on the test images")
    return study.paired_difference(own.parts, others.parts)


# The margin is the test accuracy's: a probability is read as an accuracy to expect, and both are shares of images.
CALIBRATION_ERROR = Quantity(
    title="calibration error",
    statistic="difference of the expected calibration error (15 bins of equal width) on the test images",
    unit="share",
    margin=ACCURACY_MARGIN,
    difference=calibration_difference,
    allows_for=IMAGES,
    choices=OF_ANSWERS,
)


class Calibration(NamedTuple):
    """The calibration of one model of a family."""

    model: str
    answers: Answers
    difference: Estimate | None  # of the calibration error to the family's baseline; None for or without a baseline


def measure_calibrations(study: Study, family: str) -> list[Calibration]:
    """Measure the calibration of a family's models with answers, and compare each with the family's baseline."""
    answers = {name: own for name in study.names(family) if (own := read_answers(study, name)) is not None}
    start = f"{family}@baseline"
    compared = [name for name in answers if start in answers and name != start]
    differences = {name: study.paired_difference(answers[name].parts, answers[start].parts) for name in compared}
    return [Calibration(name, own, differences.get(name)) for name, own in answers.items()]


def claims(params: Params) -> list[Claim]:
    """Return one claim for each remedy of STATEMENTS."""
    return [
        against(
            f"{variant}_calibrates",
            "calibration",
            statement,
            (f"scratch@{variant}", BASELINE),
            CALIBRATION_ERROR,
            side=-1,
            obstacle=variant_obstacle(params, variant, {variant}),
        )
        for variant, statement in STATEMENTS.items()
    ]
