"""Compare two contestants: paired where repetitions match, otherwise by Welch; folds overlap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from fitgap.inference.estimates import MIN_SEEDS, Estimate, estimate_over_seeds


@dataclass(frozen=True)
class Unpaired(Estimate):
    """The difference of two means whose repetitions do not match.

    Welch, The generalization of 'Student's' problem when several different population variances are involved,
    Biometrika 34 (1947), doi:10.1093/biomet/34.1-2.28.
    """

    variances: tuple[float, float] = (0.0, 0.0)
    counts: tuple[int, int] = (0, 0)

    def _parts(self, seeds: int | None) -> list[tuple[float, int]]:
        return [
            (variance / (seeds or n), (seeds or n) - 1) for variance, n in zip(self.variances, self.counts, strict=True)
        ]

    def standard_error(self, seeds: int | None = None) -> float:
        """Return the standard error for the present numbers of repetitions, or for `seeds` of each."""
        return math.sqrt(sum(part for part, _ in self._parts(seeds)))

    def degrees_of_freedom(self, seeds: int | None = None) -> float:
        """Return the degrees of freedom of Welch and Satterthwaite."""
        below = sum(part**2 / freedom for part, freedom in self._parts(seeds))
        return self.standard_error(seeds) ** 4 / below if below else math.inf


@dataclass(frozen=True)
class OverFolds(Estimate):
    """A mean difference over folds of one cross-validation, or of several of the same data.

    Two trainings share most of their data, so their results are alike, and the variance between folds is too small
    by the size of a test fold over that of its training set: Nadeau and Bengio, Inference for the Generalization Error,
    Machine Learning 52 (2003), doi:10.1023/A:1024068626366.
    """

    folds: int = 2

    def standard_error(self, seeds: int | None = None) -> float:
        """Return the corrected standard error for the present number of folds, or for `seeds`."""
        return math.sqrt(self.seed_variance * (1 / (seeds or self.seeds) + 1 / (self.folds - 1)))

    def degrees_of_freedom(self, seeds: int | None = None) -> float:
        """Return the number of folds minus one."""
        return (seeds or self.seeds) - 1 if self.seed_variance else math.inf


def estimate_difference(values: pd.Series, others: pd.Series, folds: int = 0) -> tuple[Estimate, str]:
    """Estimate how much higher the mean of `values` is than that of `others`, both by repetition; say how.

    They are paired if they share three repetitions, or all that one has, or if these are folds. No value is NaN.
    """
    shared = values.index.intersection(others.index)
    if len(shared) >= min(MIN_SEEDS, len(values), len(others)) or folds:
        estimate = estimate_over_seeds((values[shared] - others[shared]).to_numpy())
        if not folds:
            return estimate, f"{len(shared)} pairs"
        return OverFolds(**vars(estimate), folds=folds), f"{len(shared)} folds"
    sides = [side.dropna().to_numpy() for side in (values, others)]
    counts, difference = tuple(map(len, sides)), sides[0].mean() - sides[1].mean()
    variances = tuple(float(side.var(ddof=1)) if len(side) > 1 else math.nan for side in sides)
    known = max(variances) if min(counts) > 1 else None
    how = f"{counts[0]} and {counts[1]} runs, unpaired"
    return Unpaired(float(difference), min(counts), known, variances=variances, counts=counts), how


def p_value(estimate: Estimate) -> float:
    """Return the two-sided p-value of no difference: at most 5% where the 95% interval excludes 0."""
    error = estimate.standard_error()
    if not error:
        return float(estimate.value == 0)
    return float(2 * special.stdtr(min(estimate.degrees_of_freedom(), 1e9), -abs(estimate.value) / error))


def adjust(p_values: Sequence[float]) -> np.ndarray:
    """Adjust p-values for their number: Holm, Scandinavian Journal of Statistics 6 (1979), jstor.org/stable/4615733."""
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(order), 0, -1))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
