"""Derive a verdict from comparisons, by one rule that was fixed before seeing the results.

A claim is a conjunction: all of its comparisons must hold as stated ("better than each other variant").

supported      every comparison's 95% interval is entirely on the stated side of 0. As an intersection-union test,
               this needs no correction for the number of comparisons: Berger, Multiparameter hypothesis testing
               and acceptance sampling, Technometrics 24 (1982), doi:10.1080/00401706.1982.10487790.
contradicted   some comparison's interval is entirely on the other side of 0. One is sufficient, so the intervals
               are corrected for their number (Bonferroni; Dunn 1961, doi:10.1080/01621459.1961.10482090).
no relevant difference
               neither, and some comparison's difference is smaller than its margin, by two one-sided tests at 5%:
               Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987), doi:10.1007/BF01068419. That is,
               its 90% interval lies between -margin and margin. The tests are corrected for their number too. Not said
               while the 95% interval of another comparison lies on the other side, unless that difference is
               smaller than its margin too: a tie with one rival is not the news while another is ahead.
inconclusive   none of these, or fewer than 3 seeds: too uncertain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fitgap.inference.estimates import ERROR, LEVEL, Estimate, Proportion

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
NO_DIFFERENCE, NOT_APPLICABLE = "no relevant difference", "not applicable"
VERDICTS = (SUPPORTED, CONTRADICTED, NO_DIFFERENCE, INCONCLUSIVE, NOT_APPLICABLE)


@dataclass(frozen=True)
class Comparison:
    """One number that must be on one side of 0 for its claim to hold."""

    label: str  # the two sides compared
    estimate: Estimate | Proportion
    direction: int  # 1 if values above 0 support the claim, -1 if values below 0 do
    unit: str  # "share" (of images), "nats", "epochs", or "" for a number without a unit
    margin: float | None = None  # differences of at most this size are not relevant

    def ends(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the interval, (low, high), sign-flipped if needed so that values above 0 support the claim."""
        ends = [self.direction * end for end in self.estimate.interval(level)]
        return min(ends), max(ends)

    def is_equivalent(self, error: float = ERROR) -> bool:
        """Whether the difference is smaller than the margin, by two one-sided tests at this error rate."""
        if self.margin is None or not self.estimate.is_enough:
            return False
        low, high = self.ends(1 - 2 * error)
        return -self.margin < low and high < self.margin


@dataclass(frozen=True)
class Finding:
    """A verdict, and the comparison that decided it or came closest to deciding it."""

    verdict: str
    deciding: Comparison | None = None
    level: float = LEVEL
    comparisons: tuple[Comparison, ...] = ()
    seeds_needed: int | None = None
    note: str = ""

    def with_note(self, note: str) -> "Finding":
        """Return the finding with one more note; the same if it is empty."""
        return replace(self, note="; ".join(filter(None, [self.note, note])))


def judge(comparisons: list[Comparison]) -> Finding:
    """Judge the claim that all comparisons hold as stated, by the rule in this module's docstring."""
    everything = tuple(comparisons)
    thin = [c for c in comparisons if not c.estimate.is_enough]
    if thin:
        note = f"too few repetitions: {thin[0].estimate.seeds}"
        return Finding(INCONCLUSIVE, thin[0], LEVEL, everything, _seeds_needed(comparisons), note)
    weakest = min(comparisons, key=lambda c: c.ends()[0])
    if weakest.ends()[0] > 0:
        return Finding(SUPPORTED, weakest, LEVEL, everything)
    error = ERROR / len(comparisons)
    worst = min(comparisons, key=lambda c: c.ends(1 - error)[1])
    if worst.ends(1 - error)[1] < 0:
        return Finding(CONTRADICTED, worst, 1 - error, everything)
    alike = ties(comparisons)
    if alike and all(c in alike for c in comparisons if c.ends()[1] < 0):
        closest = min(alike, key=lambda c: max(map(abs, c.ends(1 - 2 * error))) / c.margin)
        return Finding(NO_DIFFERENCE, closest, 1 - 2 * error, everything)
    # Show what prevents support: a difference on the wrong side takes precedence over an uncertain one.
    shown = worst if worst.direction * worst.estimate.value < 0 else weakest
    return Finding(INCONCLUSIVE, shown, 1 - error, everything, _seeds_needed(comparisons))


def ties(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons whose difference is smaller than its margin, by tests corrected for their number."""
    return [c for c in comparisons if c.is_equivalent(ERROR / len(comparisons))]


def _seeds_needed(comparisons: list[Comparison]) -> int | None:
    """Return the approximate number of seeds that would settle the claim, by the quickest of three plans.

    All comparisons become clear; one becomes clear against the claim; or one difference proves smaller than its margin.
    """
    error, open_ties = ERROR / len(comparisons), [c for c in comparisons if c.margin and c not in ties(comparisons)]
    against = [c for c in comparisons if c.direction * c.estimate.value < 0]
    together = [None] if against else [c.estimate.seeds_needed() for c in comparisons]
    plans = [
        None if None in together else max(together),
        *(c.estimate.seeds_needed(1 - error) for c in against),
        *(c.estimate.seeds_needed(1 - 2 * error, c.margin) for c in open_ties),
    ]
    return min((seeds for seeds in plans if seeds), default=None)
