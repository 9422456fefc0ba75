"""Estimates with intervals: over seeds, and over seeds and test images at once.

Every estimate here is a mean whose variance has the form `seed_variance / seeds + image_variance`: the first
part shrinks with more seeds, the second only with more test images. Intervals, their degrees of freedom and
the number of seeds that would settle a question all follow from these two numbers.
"""

import bisect
import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

LEVEL = 0.95  # of every interval in the report
MIN_SEEDS = 3  # fewer give an interval, but no verdict
POWER = 0.8  # the chance of settling a question that `seeds_needed` plans for
MAX_SEEDS = 1000  # beyond this, more seeds are not a plan


def _quantile(level: float, freedom: float) -> float:
    """Give the two-sided t quantile; `stats.t.ppf` is the same, with a tenth of a millisecond of checks."""
    upper = (1 + level) / 2
    return float(special.stdtrit(freedom, upper) if math.isfinite(freedom) else special.ndtri(upper))


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds (and test images), with what is known of its variance.

    Attributes
    ----------
    value : float
        NaN where nothing was measured.
    seeds : int
        How many seeds it was estimated from.
    seed_variance : float or None
        Variance of one seed's value; None where fewer than two seeds leave it unknown.
    image_variance : float
        The part of the mean's variance that more seeds would not reduce.
    """

    value: float
    seeds: int
    seed_variance: float | None
    image_variance: float = 0.0

    @property
    def is_enough(self) -> bool:
        """Whether a verdict may rest on it."""
        return self.seeds >= MIN_SEEDS and self.seed_variance is not None

    def standard_error(self, seeds: int | np.ndarray | None = None):
        """Give the standard error with the seeds there are, or with as many as `seeds`."""
        return np.sqrt(self.seed_variance / (seeds or self.seeds) + self.image_variance)

    def degrees_of_freedom(self, seeds: int | None = None) -> float:
        """Give the t distribution's degrees of freedom: seeds - 1 where only seeds vary.

        Where test images vary too: Hillis, A comparison of denominator degrees of freedom methods for
        multiple observer ROC studies, Statistics in Medicine 26 (2007), doi:10.1002/sim.2532, with seeds in
        the place of readers.
        """
        seeds = seeds or self.seeds
        from_seeds = self.seed_variance / seeds
        if from_seeds == 0:
            return math.inf
        return (seeds - 1) * ((from_seeds + self.image_variance) / from_seeds) ** 2

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Give the two-sided t interval; None where the seeds are too few for any."""
        if self.seed_variance is None:
            return None
        half = (
            float(_quantile(level, self.degrees_of_freedom()) * self.standard_error())
            if self.standard_error() > 0
            else 0.0
        )
        return self.value - half, self.value + half

    def seeds_needed(self, level: float = LEVEL) -> int | None:
        """Give about how many seeds would put 0 outside the interval; None if no reasonable number would.

        The smallest number that does so with a chance of 80%, if the present value and variances are the
        true ones (power by the noncentral t distribution; Cohen, Statistical Power Analysis for the
        Behavioral Sciences, 1988, doi:10.4324/9780203771587).
        """
        if self.seed_variance is None or not self.value:
            return None
        plans = range(MIN_SEEDS, MAX_SEEDS + 1)
        found = bisect.bisect_left(plans, POWER, key=lambda seeds: self._power(seeds, level))
        return plans[found] if found < len(plans) else None

    def _power(self, seeds: int, level: float) -> float:
        error, freedom = self.standard_error(seeds), self.degrees_of_freedom(seeds)
        if error == 0:
            return 1.0
        effect, quantile = abs(self.value) / error, _quantile(level, freedom)
        if effect > 30 or not math.isfinite(freedom):  # the noncentral t needs no numerics here
            return float(special.ndtr(effect - quantile))
        return float(1 - special.nctdtr(freedom, effect, quantile))


@dataclass(frozen=True)
class Proportion:
    """A share of test images for one network that is not trained here: only the images vary."""

    value: float
    images: int
    seeds: int = 1
    is_enough: bool = True

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Give the score interval of Wilson (1927), doi:10.1080/01621459.1927.10502953."""
        found = stats.binomtest(round(self.value * self.images), self.images)
        low, high = found.proportion_ci(level, method="wilson")
        return float(low), float(high)

    def seeds_needed(self, level: float = LEVEL) -> None:
        """Give None: seeds have no part in it."""


@dataclass(frozen=True)
class ImageMean:
    """A mean over test images for networks in which nothing is left to chance: only the images vary."""

    value: float
    images: int
    variance: float
    seeds: int = 1
    is_enough: bool = True

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Give the two-sided t interval over images."""
        half = float(_quantile(level, self.images - 1) * math.sqrt(self.variance / self.images))
        return self.value - half, self.value + half

    def seeds_needed(self, level: float = LEVEL) -> None:
        """Give None: seeds have no part in it."""


def estimate_over_images(values: np.ndarray) -> ImageMean:
    """Estimate a mean over test images; of paired differences of right and wrong, it is the paired t interval's.

    `values` is float, (images,). With hundreds of images it agrees with McNemar's test (1947),
    doi:10.1007/BF02295996, and it gives an interval.
    """
    return ImageMean(float(np.mean(values)), len(values), float(np.var(values, ddof=1)))


def estimate_over_seeds(values, resolution: float = 0.0) -> Estimate:
    """Estimate a mean over seeds; of paired differences over seeds, it is the paired t interval's.

    Student, The Probable Error of a Mean, Biometrika 6 (1908), doi:10.1093/biomet/6.1.1.

    Parameters
    ----------
    values : array
        float, (seeds,); values that are not finite are left out.
    resolution : float
        The step in which the values are counted (1 for a difference of epochs). Equal counts over a few
        seeds do not mean no spread at all: the variance is taken as at least that of the two roundings.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return Estimate(float(values.mean()) if len(values) else math.nan, len(values), None)
    rounding = resolution**2 / 6  # a rounding's variance is step^2 / 12 (Sheppard 1898)
    return Estimate(float(values.mean()), len(values), max(float(values.var(ddof=1)), rounding))


def estimate_over_seeds_and_images(values: np.ndarray) -> Estimate:
    """Estimate a mean over seeds and test images that are both samples, crossed: every seed sees every image.

    The variance comes from the two-way random-effects analysis of variance without replication that radiology
    uses for readers and cases: Dorfman, Berbaum, Metz, Investigative Radiology 27 (1992),
    doi:10.1097/00004424-199209000-00015, in the form of Hillis (2007), doi:10.1002/sim.2532.

    Parameters
    ----------
    values : array
        (seeds, images): right (1) or wrong (0), or the difference of two models' (paired by both).
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, images = values.shape
    by_seed, by_image, mean = values.mean(axis=1), values.mean(axis=0), float(values.mean())
    if seeds < 2 or images < 2:
        return Estimate(mean, seeds, None)
    # Mean squares: of seeds, of images, and of what remains (their interaction and noise).
    of_seeds = images * by_seed.var(ddof=1)
    of_images = seeds * by_image.var(ddof=1)
    rest = values - by_seed[:, None] - by_image[None, :] + mean
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    image_variance = max(of_images - of_rest, 0.0) / (seeds * images)
    return Estimate(mean, seeds, float(of_seeds / images), float(image_variance))
