"""The notes' statements as claims: each is data plus a small evaluator, and one rule judges all.

To add a claim, append a `Claim` to the list returned by a module's `claims` function, or add a module with such a
function to MODULES.
"""

from typing import Any

from fitgap.params.schema import Params
from fitgap.report.claims import overfitting, rankings, regularisers, transfer
from fitgap.report.claims.claim import Claim, describe_claim, judge_claim
from fitgap.report.study import Study

MODULES = (overfitting, regularisers, rankings, transfer)


def declare(params: Params) -> list[Claim]:
    """Return all claims for these params, in the order of the report."""
    return [claim for module in MODULES for claim in module.claims(params)]


def judge_all(study: Study) -> list[dict[str, Any]]:
    """Judge every claim; return the content of claims.json.

    Each dict has id, statement, models, statistic, direction, compared, unit, estimate, ci_low, ci_high, n,
    confidence, verdict, rule, seeds_needed, note, comparisons. Missing numbers are None.
    """
    return [describe_claim(claim, judge_claim(claim, study)) for claim in declare(study.params)]
