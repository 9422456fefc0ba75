"""Judge each claim under every choice that applies to it, and say what its verdict depends on.

A verdict is robust if every choice that applies gives the same verdict; otherwise the choices that give another one
turn it. Under a neighbouring strength only another decided verdict turns it: trials have fewer draws than the models
have repetitions, so that "inconclusive" would say no more than that. This rule is fixed, like the choices.

As a picture, this is a specification curve turned into a table: Simonsohn, Simmons, Nelson, Specification curve
analysis, Nature Human Behaviour 4 (2020), doi:10.1038/s41562-020-0912-z.
"""

from typing import Any

from fitgap.claims.choices import CHOICES, STRENGTHS, Choice, as_trial
from fitgap.claims.claim import Claim, describe_claim, judge_claim
from fitgap.claims.study import Study
from fitgap.inference.verdicts import CONTRADICTED, NO_DIFFERENCE, NOT_APPLICABLE, SUPPORTED

SHOWN = ("verdict", "estimate", "ci_low", "ci_high", "n")
DECIDED = (SUPPORTED, CONTRADICTED, NO_DIFFERENCE)


def describe_robustness(claim: Claim, verdict: str, study: Study) -> dict[str, Any]:
    """Return what claims.json says of a verdict's choices.

    `choices` has the id, verdict, estimate, ci_low, ci_high and n of each choice that applies; `robust` is None if none
    does; `turns` says in words which choices turn the verdict.
    """
    applying = [] if verdict == NOT_APPLICABLE else [choice for choice in CHOICES if applies(choice, claim, study)]
    judged = {choice: _judge(claim, study, choice) for choice in applying}
    judged = {choice: entry for choice, entry in judged.items() if entry["verdict"] != NOT_APPLICABLE}
    turning = [choice for choice, entry in judged.items() if turns(choice, entry["verdict"], verdict)]
    return {
        "choices": [{"id": choice.id, **entry} for choice, entry in judged.items()],
        "robust": not turning if judged else None,
        "turns": in_words([(judged[choice]["verdict"], choice.title) for choice in turning]),
    }


def applies(choice: Choice, claim: Claim, study: Study) -> bool:
    """Whether a choice applies to a claim; a neighbouring strength does if all models have trials that show it."""
    if choice.id not in claim.choices:
        return False
    if not choice.step:
        return True
    models = [study.results[name] for name in claim.models if name in study.results]
    moved = [study.results[name] for name in claim.moved if name in study.results]
    return all(map(as_trial, models)) and any(as_trial(model, choice.step) for model in moved)


def turns(choice: Choice, verdict: str, stated: str) -> bool:
    """Whether the verdict under a choice turns the stated one, by the rule in this module's docstring."""
    return verdict != stated and (verdict in DECIDED or choice.id not in STRENGTHS)


def in_words(turning: list[tuple[str, str]]) -> str:
    """Return pairs of a verdict and a choice as "turns to contradicted at the last epoch"; empty without any."""
    titles = {verdict: [title for other, title in turning if other == verdict] for verdict, _ in turning}
    words = [f"to {verdict} {' and '.join(own)}" for verdict, own in titles.items()]
    return f"turns {', '.join(words)}" if words else ""


def _judge(claim: Claim, study: Study, choice: Choice) -> dict[str, Any]:
    entry = describe_claim(claim, judge_claim(claim, study.under(choice, claim.moved)))
    return {key: entry[key] for key in SHOWN}
