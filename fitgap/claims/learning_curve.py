"""The claim about the learning curve: borrowing a network pays while there are few training images.

This is a question of fitgap itself, not of the notes. The learning curve compares the best model from scratch with the
best that borrows, at several sizes of the training set. The crossing is the size at which training from scratch
catches up.
"""

from dataclasses import dataclass

import numpy as np

from fitgap.claims.claim import CannotTellError, Claim
from fitgap.claims.comparisons import ACCURACY_MARGIN, right_answers, transfer_obstacle
from fitgap.claims.study import Study
from fitgap.inference.estimates import estimate_over_seeds_and_images
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

GRID = 200  # sizes at which the interval of the crossing is computed, at equal ratios


@dataclass(frozen=True)
class Crossing:
    """The size of the training set at which training from scratch catches up with borrowing."""

    size: float | None  # None if it is not among the sizes measured
    low: float | None  # ends of the 95% interval; None if an end lies beyond the sizes measured
    high: float | None
    smallest: int  # of the sizes measured
    largest: int
    ahead: bool  # whether borrowing is clearly ahead at the smallest size

    @property
    def is_measured(self) -> bool:
        """Whether the whole interval lies among the sizes measured."""
        return None not in (self.size, self.low, self.high)

    def in_words(self, classes: int) -> str:
        """Return a clause: "catches up at about 230 training images (23 a class; 95% interval from 180 to 320)"."""
        low, high = (f"{end:.0f}" if end else "" for end in (self.low, self.high))
        if self.is_measured:
            about = f"{self.size:.0f} training images ({self.size / classes:.0f} a class"
            return f"catches up at about {about}; 95% interval from {low} to {high})"
        if not self.ahead:
            limit = f" (95% interval: up to {high})" if high else ""
            return f"is not clearly behind even with {self.smallest} training images{limit}"
        limit = f" (95% interval: from {low} upwards)" if low else ""
        return f"does not {'clearly ' if low else ''}catch up within {self.largest} training images{limit}"


def right_by_size(study: Study, way: str) -> dict[int, np.ndarray]:
    """Return the correct predictions of one way: size -> float, (seeds, images); the usual size has its own stage."""
    right = {size: study.right_by_layer(point)[point.record.ways.index(way)] for size, point in study.curve.items()}
    usual = study.contestants.get(way)
    if usual is not None and study.has_answers(usual):
        answers = right_answers(study, usual)
        if set(study.params.curve_seeds) <= set(answers.index):
            right[study.train_images] = answers.loc[study.params.curve_seeds].to_numpy()
    return dict(sorted(right.items()))


def lead(study: Study) -> dict[int, np.ndarray]:
    """Return what borrowing gains over training from scratch: size -> difference by seed and image."""
    borrowed, scratch = right_by_size(study, "borrowed"), right_by_size(study, "scratch")
    return {size: borrowed[size] - scratch[size] for size in borrowed if size in scratch}


def find_crossing(leads: dict[int, np.ndarray]) -> Crossing:
    """Find where the mean lead falls to 0, by linear interpolation over the logarithm of the size.

    The interval holds all sizes at which the interpolated lead does not differ from 0 at 5%: the confidence set of
    Fieller, Some problems in interval estimation, JRSS B 16 (1954), with the estimate over seeds and images.
    """
    sizes = list(leads)
    grid = np.unique(np.append(np.geomspace(sizes[0], sizes[-1], GRID), sizes))
    estimates = [estimate_over_seeds_and_images(_interpolate(leads, size)) for size in grid]
    means = np.array([estimate.value for estimate in estimates])
    ends = np.array([estimate.interval() or (-np.inf, np.inf) for estimate in estimates])  # None: a single seed
    position = int(np.argmax(means <= 0)) if means[0] > 0 and (means <= 0).any() else None
    size = None if position is None else float(grid[position])
    open_ = np.flatnonzero((ends[:, 0] <= 0) & (ends[:, 1] >= 0))
    low = float(grid[open_[0]]) if len(open_) and open_[0] > 0 else None
    high = float(grid[open_[-1]]) if len(open_) and open_[-1] < len(grid) - 1 else None
    return Crossing(size, low, high, sizes[0], sizes[-1], bool(ends[0, 0] > 0))


def _interpolate(leads: dict[int, np.ndarray], size: float) -> np.ndarray:
    sizes = np.array(list(leads))
    above = int(np.clip(np.searchsorted(sizes, size), 1, len(sizes) - 1))
    below, upper = sizes[above - 1], sizes[above]
    share = float(np.log(size / below) / np.log(upper / below))
    return (1 - share) * leads[int(below)] + share * leads[int(upper)]


def pays_with_few_labels(study: Study) -> Finding:
    """Judge the claim that borrowing is ahead with the fewest training images, and that its lead shrinks with more."""
    leads = lead(study)
    if len(leads) < 2:
        raise CannotTellError("it takes at least two sizes of the training set; learning_curve.sizes has fewer")
    fewest, most = min(leads), max(leads)
    compared = {
        f"borrowed - scratch: test accuracy with {fewest} training images": leads[fewest],
        f"borrowed - scratch: lead with {fewest} - lead with {most} images": leads[fewest] - leads[most],
    }
    comparisons = [
        Comparison(label, study.over_images(values), 1, "share", ACCURACY_MARGIN) for label, values in compared.items()
    ]
    words = find_crossing(leads).in_words(len(study.prepared.class_names))
    return judge(comparisons).with_note(f"training from scratch {words}")


def claims(params: Params) -> list[Claim]:
    """Return the claim."""
    obstacle = transfer_obstacle(params)
    if not obstacle and not params.learning_curve.sizes:
        obstacle = "learning_curve.sizes is empty"
    return [
        Claim(
            id="borrowing_pays_with_few_labels",
            topic="labels",
            statement="Borrowing pays while labels are few: the lead of the best that borrows over the best from "
            "scratch shrinks with more of them.",
            models=("borrowed", "scratch"),
            statistic="difference of the test accuracy with the fewest images, and its decrease up to the most",
            direction="above",
            rule="supported if both 95% intervals lie above 0; contradicted if, widened for two, one lies below; "
            "they allow for seeds and test images",
            evaluate=pays_with_few_labels,
            obstacle=obstacle,
            choices=("seeds",),  # a point of the curve is measured at the lowest validation loss only
        )
    ]
