"""Estimate means with intervals: over seeds, over test images, and over both at once.

The variance of an `Estimate` is `seed_variance / seeds + image_variance`. The first term shrinks with more seeds, the
second only with more test images. Intervals, degrees of freedom and the number of seeds needed for a verdict are all
computed from these two variances.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

ERROR = 0.05  # largest rate of false verdicts
LEVEL = 1 - ERROR  # confidence level of every interval in the report
MIN_SEEDS = 3  # two seeds yield an interval, but no verdict
POWER = 0.8  # statistical power that `seeds_needed` plans for
MAX_SEEDS = 1000  # larger numbers of seeds are not practical


def _quantile(level: float, freedom: float) -> float:
    """Return the two-sided t quantile; the same as `stats.t.ppf`, which spends 0.1 ms on argument checks."""
    upper = (1 + level) / 2
    return float(special.stdtrit(freedom, upper) if math.isfinite(freedom) else special.ndtri(upper))


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds (and test images) with its variance components."""

    value: float  # NaN if nothing was measured
    seeds: int  # their number
    seed_variance: float | None  # of one seed's value; None (unknown) with fewer than two seeds
    image_variance: float = 0.0  # the part of the mean's variance that more seeds would not reduce
    by_seed: tuple[float, ...] = ()  # one value per seed

    @property
    def is_enough(self) -> bool:
        """Whether there are enough seeds for a verdict."""
        return self.seeds >= MIN_SEEDS and self.seed_variance is not None

    def standard_error(self, seeds: int | np.ndarray | None = None):
        """Return the standard error for the present number of seeds, or for `seeds` seeds."""
        return np.sqrt(self.seed_variance / (seeds or self.seeds) + self.image_variance)

    def degrees_of_freedom(self, seeds: int | None = None) -> float:
        """Return the t distribution's degrees of freedom: seeds - 1 if only seeds vary.

        If test images vary too, the formula is that of Hillis, A comparison of denominator degrees of freedom
        methods for multiple observer ROC studies, Statistics in Medicine 26 (2007), doi:10.1002/sim.2532, with
        seeds in place of readers.
        """
        seeds = seeds or self.seeds
        from_seeds = self.seed_variance / seeds
        if from_seeds == 0:
            return math.inf
        return (seeds - 1) * ((from_seeds + self.image_variance) / from_seeds) ** 2

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Return the two-sided t interval; None with fewer than two seeds."""
        if self.seed_variance is None:
            return None
        error = self.standard_error()
        half = float(_quantile(level, self.degrees_of_freedom()) * error) if error > 0 else 0.0
        return self.value - half, self.value + half

    def seeds_needed(self, level: float = LEVEL, margin: float | None = None) -> int | None:
        """Return the approximate number of seeds that would decide; None if above `MAX_SEEDS`.

        This is the smallest number with a power of 80%, if the present value and variances are the true ones (power
        by the noncentral t distribution; Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988,
        doi:10.4324/9780203771587). None also if the value leaves nothing to decide or the variance is unknown.

        Parameters
        ----------
        level : of the interval
        margin : what the number is planned for. None: to exclude 0 from the interval. A margin: to show that the
            difference is smaller, so that the interval lies between -margin and margin (two one-sided tests; Phillips,
            Journal of Pharmacokinetics and Biopharmaceutics 18 (1990), doi:10.1007/BF01063556).
        """
        if self.seed_variance is None or (not self.value if margin is None else abs(self.value) >= margin):
            return None
        plans = range(MIN_SEEDS, MAX_SEEDS + 1)
        place = bisect.bisect_left(plans, POWER, key=lambda seeds: self._power(seeds, level, margin))
        return plans[place] if place < len(plans) else None

    def _power(self, seeds: int, level: float, margin: float | None) -> float:
        if self.standard_error(seeds) == 0:
            return 1.0
        if margin is None:
            return self._exceeds(abs(self.value), seeds, level)
        # Both ends must exclude a margin; the sum of the two chances minus 1 is the least that both can have.
        return sum(self._exceeds(margin + side * self.value, seeds, level) for side in (1, -1)) - 1

    def _exceeds(self, distance: float, seeds: int, level: float) -> float:
        """Return the probability that a one-sided test finds this true distance."""
        freedom = self.degrees_of_freedom(seeds)
        effect, quantile = distance / self.standard_error(seeds), _quantile(level, freedom)
        if effect > 30 or not math.isfinite(freedom):  # the normal approximation suffices here
            return float(special.ndtr(effect - quantile))
        return float(1 - special.nctdtr(freedom, effect, quantile))


@dataclass(frozen=True)
class Proportion:
    """A share of test images, for a single network that is not trained here: only the images vary."""

    value: float
    images: int
    seeds: int = 1
    is_enough: bool = True
    by_seed: tuple[float, ...] = ()

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the score interval of Wilson (1927), doi:10.1080/01621459.1927.10502953."""
        test = stats.binomtest(round(self.value * self.images), self.images)
        low, high = test.proportion_ci(level, method="wilson")
        return float(low), float(high)

    def seeds_needed(self, level: float = LEVEL, margin: float | None = None) -> None:
        """Return None: the value does not depend on seeds."""


def estimate_over_seeds(values, resolution: float = 0.0) -> Estimate:
    """Estimate a mean over seeds; for differences paired by seed, this is the paired t interval.

    Student, The Probable Error of a Mean, Biometrika 6 (1908), doi:10.1093/biomet/6.1.1.

    Parameters
    ----------
    values : float, (seeds,); NaN and infinity are ignored
    resolution : step size of discrete values (1 for a difference of epochs). Equal counts over a few seeds do not prove
        a variance of zero, so the variance is at least that of the two roundings.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        mean = float(values.mean()) if len(values) else math.nan
        return Estimate(mean, len(values), None, by_seed=tuple(values.tolist()))
    rounding = resolution**2 / 6  # one rounding has variance step^2 / 12 (Sheppard 1898)
    variance = max(float(values.var(ddof=1)), rounding)
    return Estimate(float(values.mean()), len(values), variance, by_seed=tuple(values.tolist()))


def estimate_over_seeds_and_images(values: np.ndarray) -> Estimate:
    """Estimate a mean over seeds and test images, both random and fully crossed: every seed predicts every image.

    The variance comes from the two-way random-effects analysis of variance without replication that radiology
    uses for readers and cases: Dorfman, Berbaum, Metz, Investigative Radiology 27 (1992),
    doi:10.1097/00004424-199209000-00015, in the form of Hillis (2007), doi:10.1002/sim.2532. `values`, (seeds, images),
    are correct (1) or wrong (0), or the differences of two models, paired by seed and image.
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, images = values.shape
    by_seed, by_image, mean = values.mean(axis=1), values.mean(axis=0), float(values.mean())
    if seeds < 2 or images < 2:
        return Estimate(mean, seeds, None, by_seed=tuple(by_seed.tolist()))
    # Mean squares: of seeds, of images, and of the residual (their interaction and noise).
    of_seeds = images * by_seed.var(ddof=1)
    of_images = seeds * by_image.var(ddof=1)
    rest = values - by_seed[:, None] - by_image[None, :] + mean
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    image_variance = max(of_images - of_rest, 0.0) / (seeds * images)
    return Estimate(mean, seeds, float(of_seeds / images), float(image_variance), tuple(by_seed.tolist()))


def estimate_win_rate(differences: Sequence[float], direction: int = 1) -> tuple[float, float, float] | None:
    """Estimate the probability that a repetition favours one side, P(A > B), with its 95% interval; ties count half.

    Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021, arXiv:2103.03098, section 5.
    Their bootstrap interval has no width if every repetition agrees, so this is the exact interval of a proportion:
    Clopper and Pearson, Biometrika 26 (1934), doi:10.1093/biomet/26.4.404. None without repetitions.

    Parameters
    ----------
    differences : A - B, one per repetition
    direction : 1 if A is favoured by values above 0, -1 if below
    """
    signs = direction * np.sign(np.asarray(differences, dtype=np.float64))
    count, wins = len(signs), float((signs > 0).sum() + (signs == 0).sum() / 2)
    if not count:
        return None
    low = stats.beta.ppf(ERROR / 2, wins, count - wins + 1) if wins else 0.0
    high = stats.beta.ppf(1 - ERROR / 2, wins + 1, count - wins) if wins < count else 1.0
    return wins / count, float(low), float(high)
