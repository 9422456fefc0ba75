"""What a claim is, and how it becomes a line of claims.json."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fitgap.inference.verdicts import INCONCLUSIVE, NOT_APPLICABLE, Comparison, Finding
from fitgap.report.study import Study

DIRECTIONS = {1: "above", -1: "below"}


class CannotTellError(Exception):
    """The results there are cannot answer a claim; the message says why."""


@dataclass(frozen=True)
class Claim:
    """A statement of the notes with everything that decides it, fixed before any result is seen.

    Attributes
    ----------
    id : str
    statement : str
        In the notes' words.
    models : tuple of str
        The models compared; the claim is not applicable where one of `needed` is absent.
    statistic : str
        What is estimated, with its unit.
    direction : str
        The side of 0 on which estimates speak for the statement: "above" or "below".
    rule : str
        When it counts as supported, and when as contradicted.
    evaluate : callable
        From a Study to a Finding. Raises CannotTellError where the results do not allow an answer.
    needed : tuple of str
        Models (or the probe) without which there is nothing to judge.
    may_fail : tuple of str
        Those of them whose failure is an answer too.
    obstacle : str
        Why the claim cannot be asked with these params at all; empty if it can.
    """

    id: str
    statement: str
    models: tuple[str, ...]
    statistic: str
    direction: str
    rule: str
    evaluate: Callable[[Study], Finding]
    needed: tuple[str, ...] = ()
    may_fail: tuple[str, ...] = ()
    obstacle: str = ""


def judge_claim(claim: Claim, study: Study) -> Finding:
    """Judge a claim on the results there are; whatever is missing gives a verdict too, and its reason."""
    absent = [name for name in claim.needed if not study.has(name)]
    failed = [name for name in claim.needed if name in study.failed and name not in claim.may_fail]
    if claim.obstacle or absent:
        return Finding(NOT_APPLICABLE, note=claim.obstacle or f"no results of {', '.join(absent)}")
    if failed:
        return Finding(INCONCLUSIVE, note=f"failed: {', '.join(failed)} diverged (its loss is not a finite number)")
    try:
        return claim.evaluate(study)
    except CannotTellError as reason:
        return Finding(INCONCLUSIVE, note=str(reason))


def describe_claim(claim: Claim, finding: Finding) -> dict[str, Any]:
    """Give a claim and its finding as claims.json holds them; numbers to six significant digits."""
    decided = _numbers(finding.deciding, finding.level)
    return {
        "id": claim.id,
        "statement": claim.statement,
        "models": list(claim.models),
        "statistic": claim.statistic,
        "direction": DIRECTIONS[finding.deciding.direction] if finding.deciding else claim.direction,
        "compared": decided.pop("compared"),
        **decided,
        "confidence": _rounded(finding.level),
        "verdict": finding.verdict,
        "rule": claim.rule,
        "seeds_needed": finding.seeds_needed,
        "note": finding.note,
        "comparisons": [_numbers(comparison, finding.level) for comparison in finding.comparisons],
    }


def _numbers(comparison: Comparison | None, level: float) -> dict[str, Any]:
    if comparison is None:
        return {"compared": "", "unit": "", "estimate": None, "ci_low": None, "ci_high": None, "n": 0}
    estimate = comparison.estimate
    low, high = estimate.interval(level) or (None, None)
    return {
        "compared": comparison.label,
        "unit": comparison.unit,
        "estimate": _rounded(estimate.value),
        "ci_low": _rounded(low),
        "ci_high": _rounded(high),
        "n": estimate.seeds,
    }


def _rounded(value: float | None) -> float | None:
    # Six digits say all there is to say, and the last bits of a sum may differ between machines.
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
