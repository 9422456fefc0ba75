"""Claims: definition, judgement and their form in claims.json."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fitgap.claims.study import Study
from fitgap.inference.estimates import estimate_win_rate
from fitgap.inference.verdicts import INCONCLUSIVE, NOT_APPLICABLE, Comparison, Finding

DIRECTIONS = {1: "above", -1: "below"}
CHECKS = "checks"  # the topic of statements that follow by definition: they show that a mechanism works, and no more
TOPICS = {  # in the order of the report
    "overall": "Overall results of the notes",
    "dropout": "Dropout",
    "batch normalisation": "Batch normalisation",
    "early stopping": "Early stopping (fitgap's own question)",
    "regularisers": "Regularisers: L1, L2, ElasticNet",
    "transfer": "Transfer learning with VGG16",
    "labels": "How many labels until borrowing no longer pays (fitgap's own question)",
    "calibration": "Calibration: are the probabilities honest? (fitgap's own question)",
    CHECKS: "Checks of the mechanism: they follow by definition and count as no findings",
}
WIN_RATE = ("win_rate", "win_rate_low", "win_rate_high")  # P(A > B): share of repetitions that favour the statement


class CannotTellError(Exception):
    """Raised if the results cannot decide a claim; the message gives the reason."""


@dataclass(frozen=True)
class Claim:
    """A statement of the notes with its decision rule, fixed before any result is seen."""

    id: str
    topic: str  # a key of TOPICS; the report groups claims by it
    statement: str  # in the notes' words
    models: tuple[str, ...]  # the models compared
    statistic: str  # the estimated quantity, with its unit
    direction: str  # side of 0 on which estimates support the statement: "above", "below" or "either"
    rule: str  # conditions for "supported" and "contradicted"
    evaluate: Callable[[Study], Finding]  # raises CannotTellError if the results cannot decide the claim
    needed: tuple[str, ...] = ()  # models (or the probe) without which the claim is not applicable
    may_fail: tuple[str, ...] = ()  # those of `needed` that may diverge: their failure is evidence too
    choices: tuple[str, ...] = ()  # ids of the CHOICES that apply to it
    moved: tuple[str, ...] = ()  # models that have another strength under a choice of one
    obstacle: str = ""  # why the claim is not applicable with these params; empty if it is

    @property
    def kind(self) -> str:
        """Return "check" for a statement that follows by definition, "finding" for all others."""
        return "check" if self.topic == CHECKS else "finding"


def without_checks(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of claims.json that are findings, without the checks."""
    return [claim for claim in claims if claim["kind"] == "finding"]


def judge_claim(claim: Claim, study: Study) -> Finding:
    """Judge a claim; missing or failed models lead to "not applicable" or "inconclusive", with a note."""
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
    """Return a claim and its finding as an entry of claims.json; numbers have six significant digits."""
    decided = _numbers(finding.deciding, finding.level)
    return {
        "id": claim.id,
        "kind": claim.kind,
        "topic": claim.topic,
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
        missing = dict.fromkeys(("estimate", "ci_low", "ci_high", "margin", *WIN_RATE))
        return {"compared": "", "unit": "", "n": 0, **missing}
    estimate = comparison.estimate
    low, high = estimate.interval(level) or (None, None)
    rate = estimate_win_rate(estimate.by_seed, comparison.direction) or (None, None, None)
    return {
        "compared": comparison.label,
        "unit": comparison.unit,
        "n": estimate.seeds,
        "estimate": _rounded(estimate.value),
        "ci_low": _rounded(low),
        "ci_high": _rounded(high),
        "margin": comparison.margin,
        **dict(zip(WIN_RATE, map(_rounded, rate), strict=True)),
    }


def _rounded(value: float | None) -> float | None:
    # The last bits of a sum may differ between machines; six digits are stable and precise enough.
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
