"""From comparisons to a verdict, by one rule fixed before looking.

A claim is a conjunction: all of its comparisons must come out as stated ("better than each other variant").

supported      every comparison's 95% interval lies beyond 0 on the stated side. As an intersection-union test
               it needs no correction for the number of comparisons: Berger, Multiparameter hypothesis testing
               and acceptance sampling, Technometrics 24 (1982), doi:10.1080/00401706.1982.10487790.
contradicted   some comparison's interval lies beyond 0 on the other side. Any one would do, so the intervals
               are widened for their number (Bonferroni; Dunn 1961, doi:10.1080/01621459.1961.10482090).
inconclusive   neither, or fewer than 3 seeds.
"""

from dataclasses import dataclass

from fitgap.inference.estimates import LEVEL, Estimate, ImageMean, Proportion

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
NOT_APPLICABLE = "not applicable"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_APPLICABLE)


@dataclass(frozen=True)
class Comparison:
    """One number that must lie on one side of 0 for its claim to hold.

    Attributes
    ----------
    label : str
        What is compared with what.
    estimate : Estimate, Proportion or ImageMean
    direction : int
        1 if values above 0 speak for the claim, -1 if values below 0 do.
    unit : str
        "share" (of images), "nats", "epochs", or "" for a number without one.
    """

    label: str
    estimate: Estimate | Proportion | ImageMean
    direction: int
    unit: str

    def ends(self, level: float = LEVEL) -> tuple[float, float]:
        """Give the interval turned so that above 0 speaks for the claim; the end against it comes first."""
        ends = [self.direction * end for end in self.estimate.interval(level)]
        return min(ends), max(ends)


@dataclass(frozen=True)
class Finding:
    """A verdict and the comparison that decided it, or that comes closest to deciding it."""

    verdict: str
    deciding: Comparison | None = None
    level: float = LEVEL
    comparisons: tuple[Comparison, ...] = ()
    seeds_needed: int | None = None
    note: str = ""


def judge(comparisons: list[Comparison]) -> Finding:
    """Judge the claim that all comparisons come out as stated; the rule stands at the top of this file."""
    everything = tuple(comparisons)
    thin = [c for c in comparisons if not c.estimate.is_enough]
    if thin:
        note = f"too few seeds: {thin[0].estimate.seeds}"
        return Finding(INCONCLUSIVE, thin[0], LEVEL, everything, _seeds_needed(comparisons), note)
    weakest = min(comparisons, key=lambda c: c.ends()[0])
    if weakest.ends()[0] > 0:
        return Finding(SUPPORTED, weakest, LEVEL, everything)
    level = 1 - (1 - LEVEL) / len(comparisons)
    worst = min(comparisons, key=lambda c: c.ends(level)[1])
    if worst.ends(level)[1] < 0:
        return Finding(CONTRADICTED, worst, level, everything)
    # Shown is what stands in the way: a difference on the wrong side before one that is merely uncertain.
    shown = worst if worst.direction * worst.estimate.value < 0 else weakest
    return Finding(INCONCLUSIVE, shown, level, everything, _seeds_needed(comparisons))


def _seeds_needed(comparisons: list[Comparison]) -> int | None:
    """Give about how many seeds would settle all comparisons, or the clearest one that speaks against."""
    bad = [c for c in comparisons if c.direction * c.estimate.value < 0]
    if bad:
        level = 1 - (1 - LEVEL) / len(comparisons)
        return min((n for c in bad if (n := c.estimate.seeds_needed(level))), default=None)
    needed = [c.estimate.seeds_needed() for c in comparisons]
    return None if None in needed else max(needed)
