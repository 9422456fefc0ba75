"""The notes' statements as claims: each is data plus a small evaluator, and one rule judges all.

To add a claim, append one to the list returned by a module's `claims` function (`comparisons.against` builds the usual
shape), or add a module with such a function to MODULES.
"""

from typing import Any

from fitgap.claims import calibration, learning_curve, overfitting, transfer
from fitgap.claims.claim import TOPICS, Claim, describe_claim, judge_claim
from fitgap.claims.robustness import describe_robustness
from fitgap.claims.study import Study
from fitgap.params.schema import Params

MODULES = (overfitting, transfer, learning_curve, calibration)


def declare(params: Params) -> list[Claim]:
    """Return all claims for these params, in the order of the report: by topic."""
    declared = [claim for module in MODULES for claim in module.claims(params)]
    return sorted(declared, key=lambda claim: list(TOPICS).index(claim.topic))


def judge_all(study: Study) -> list[dict[str, Any]]:
    """Judge every claim; return the content of claims.json.

    Each dict has id, kind, topic, statement, models, statistic, direction, compared, unit, n, estimate, ci_low,
    ci_high, margin, win_rate, win_rate_low, win_rate_high, confidence, verdict, rule, seeds_needed, note, comparisons.
    Missing numbers are None. `choices`, `robust` and `turns` are those of `robustness.describe_robustness`.
    """
    return [judge(claim, study) for claim in declare(study.params)]


def judge(claim: Claim, study: Study) -> dict[str, Any]:
    """Judge a claim as stated and under all choices that apply; return its entry of claims.json."""
    finding = judge_claim(claim, study)
    return describe_claim(claim, finding) | describe_robustness(claim, finding.verdict, study)
