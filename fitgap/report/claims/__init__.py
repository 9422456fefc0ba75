"""The notes' statements as claims: data with one small evaluator each, judged by one rule.

To add a claim, append a `Claim` to the list that one of these modules gives (or add a module with a `claims`
function to MODULES).
"""

from typing import Any

from fitgap.params.schema import Params
from fitgap.report.claims import overfitting, rankings, regularisers, transfer
from fitgap.report.claims.claim import Claim, describe_claim, judge_claim
from fitgap.report.study import Study

MODULES = (overfitting, regularisers, rankings, transfer)


def declare(params: Params) -> list[Claim]:
    """List all claims that these params let one ask, in the order of the report."""
    return [claim for module in MODULES for claim in module.claims(params)]


def judge_all(study: Study) -> list[dict[str, Any]]:
    """Judge every claim; the list is what claims.json holds.

    Each dict has id, statement, models, statistic, direction, compared, unit, estimate, ci_low, ci_high, n,
    confidence, verdict, rule, seeds_needed, note, comparisons. Numbers that do not exist are None.
    """
    return [describe_claim(claim, judge_claim(claim, study)) for claim in declare(study.params)]
