"""The claim that no remedy is best everywhere."""

import itertools
from dataclasses import replace
from functools import partial

from fitgap.claims.claim import CannotTellError, Claim
from fitgap.claims.comparisons import ACCURACY, compare, failed_in, rivals
from fitgap.claims.study import Study
from fitgap.definitions.measurements import MEASUREMENTS
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, SUPPORTED, Comparison, Finding, judge
from fitgap.params.schema import Params

CONTESTS = (ACCURACY, "gap_last")


def no_winner_everywhere(study: Study, families: tuple[str, ...]) -> Finding:
    """Judge the claim that every remedy is beaten, or equalled, by some other variant in some contest.

    A contest is one measurement in one family. For each remedy, judge the opposite: it is ahead of every other
    variant in every contest. The claim is supported if for every remedy that is contradicted, or the difference to
    some variant is not relevant (an intersection-union test again), and contradicted if it is supported for one.
    """
    remedies = [name for name, variant in study.params.variants.items() if variant.remedies]
    opposites = [judge(found) for name in remedies if (found := _contests(study, name, families))]
    if not opposites:
        raise CannotTellError("there are no two variants to compare")
    for opposite, verdict in (
        (SUPPORTED, CONTRADICTED),
        (INCONCLUSIVE, INCONCLUSIVE),
        (CONTRADICTED, SUPPORTED),
        (NO_DIFFERENCE, SUPPORTED),
    ):
        shown = next((finding for finding in opposites if finding.verdict == opposite), None)
        if shown:
            return _turned(shown, verdict, failed_in(study, *families))


def _turned(finding: Finding, verdict: str, failures: str) -> Finding:
    """Turn a finding on "wins everywhere" into one on "does not win everywhere"."""
    turned = tuple(replace(comparison, direction=-comparison.direction) for comparison in finding.comparisons)
    deciding = replace(finding.deciding, direction=-finding.deciding.direction)
    note = "; ".join(filter(None, [finding.note, failures]))
    return replace(finding, verdict=verdict, deciding=deciding, comparisons=turned, note=note)


def _contests(study: Study, variant: str, families: tuple[str, ...]) -> list[Comparison]:
    """Compare a variant with every other variant in each contest where both have results."""
    found = []
    for family, measurement in itertools.product(families, CONTESTS):
        model = f"{family}@{variant}"
        if model in study.results and model not in study.failed:
            found += compare(study, model, rivals(study, model), measurement, MEASUREMENTS[measurement].better)
    return found


def claims(params: Params) -> list[Claim]:
    """Return the claim about rankings, as a list of one."""
    families = ("scratch", "head") if params.backbone.weights != "none" else ("scratch",)
    every = [f"{family}@{name}" for family in families for name in params.variants]
    return [
        Claim(
            id="no_remedy_wins_everywhere",
            topic="overall",
            statement="No remedy is guaranteed to help: none of them wins everywhere.",
            models=tuple(model for model in every if model not in params.without_model),
            statistic="difference of test accuracy or final gap between a remedy and another variant",
            direction="either",
            rule="supported if for each remedy some variant is ahead of it in test accuracy or final gap, or behind it "
            "by less than the margin, from scratch or on frozen features, by intervals widened for all its comparisons "
            "(Bonferroni); contradicted if one remedy is ahead of all variants in all of them",
            evaluate=partial(no_winner_everywhere, families=families),
        )
    ]
