"""Comparisons used by claims: paired by seed, and for answers on the test images also by test image.

Most claims have one shape, and `against` builds them: a quantity of one model lies above, or below, another model's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fitgap.claims.choices import OF_ACCURACY, OF_GAP, OF_LOSS
from fitgap.claims.claim import DIRECTIONS, CannotTellError, Claim
from fitgap.claims.study import Study
from fitgap.definitions.families import family_of
from fitgap.definitions.measurements import MEASUREMENTS
from fitgap.inference.estimates import Estimate, estimate_over_seeds
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

BASELINE = "scratch@baseline"
RULE_EACH = (
    "supported if the 95% interval of the difference to every other variant lies {side} 0; "
    "contradicted if, with intervals widened for their number (Bonferroni), one lies on the other side"
)
RULE_ONE = "supported if the 95% interval lies {side} 0; contradicted if it lies on the other side"


@dataclass(frozen=True)
class Quantity:
    """A quantity in which two models are compared."""

    title: str
    statistic: str  # its difference in words, with the unit
    unit: str  # a key of `definitions.measurements.UNITS`
    margin: float | None  # smaller differences are not relevant
    difference: Callable[[Study, str, str], Estimate]  # of two models; raises CannotTellError without data
    allows_for: str = ""  # what varies besides the seeds
    choices: tuple[str, ...] = ()  # those that bear on it
    measured: str = ""  # the measurement of each seed that it compares


def accuracy_difference(study: Study, model: str, other: str) -> Estimate:
    """Estimate the difference of two models' test accuracies over seeds and test images.

    The unchanged network (`asis`) has no seeds: its predictions are compared with those of every seed of the other
    model. If it covers only some test images, only those are compared.
    """
    if study.choice.step:  # trials have no answers on the test images
        return estimate_over_seeds(study.seeds(model)["test_accuracy"] - study.seeds(other)["test_accuracy"])
    right, other_right = right_answers(study, model), right_answers(study, other)
    if model == "asis":
        right = pd.DataFrame(np.tile(right, (len(other_right), 1)), other_right.index, right.columns)
    return study.paired_difference(right, other_right)


def right_answers(study: Study, model: str) -> pd.DataFrame:
    """Return 1.0 for each correct prediction and 0.0 for each wrong one: DataFrame, rows seeds, columns test images.

    Raises a CannotTellError if the model has no predictions on the test images.
    """
    if not study.has_answers(model):
        raise CannotTellError(f"{model} left no answers on the test images")
    return study.right[model].astype(float)


def by_seed(name: str, statistic: str, choices: tuple[str, ...] = ()) -> Quantity:
    """Return the quantity that is a measurement of each seed, such as "gap_last"; differences are paired by seed."""

    def difference(study: Study, model: str, other: str) -> Estimate:
        return estimate_over_seeds(study.seeds(model)[name] - study.seeds(other)[name])

    measurement = MEASUREMENTS[name]
    return Quantity(
        measurement.title, statistic, measurement.unit, measurement.margin, difference, choices=choices, measured=name
    )


IMAGES = "seeds and test images"
ACCURACY_MARGIN = MEASUREMENTS["test_accuracy"].margin
ACCURACY = Quantity(
    "test accuracy",
    "difference of the test accuracy",
    "share",
    ACCURACY_MARGIN,
    accuracy_difference,
    IMAGES,
    OF_ACCURACY,
)
GAP = by_seed("gap_last", "difference of the final gap (validation loss - training loss), nats", OF_GAP)
ACCURACY_GAP = by_seed("accuracy_gap_last", "difference of the final gap in accuracy (training - validation)")
BEST_LOSS = by_seed("val_loss_best", "difference of the best validation loss, nats", OF_LOSS)
WEIGHT_NORM = by_seed("weight_norm_last", "difference of the kernels' Euclidean norm after the last epoch")


def as_chosen(study: Study, quantity: Quantity) -> Quantity:
    """Return the quantity that the study's choice puts in its place; most stay themselves."""
    return ACCURACY_GAP if quantity is GAP and study.choice.gap_unit == "share" else quantity


def compare(study: Study, model: str, others: Iterable[str], quantity: Quantity, side: int) -> list[Comparison]:
    """Compare a model with each of `others`; failed models are left out."""
    quantity = as_chosen(study, quantity)
    differences = {other: quantity.difference(study, model, other) for other in others if other not in study.failed}
    return [
        Comparison(f"{model} - {other}: {quantity.title}", difference, side, quantity.unit, quantity.margin)
        for other, difference in differences.items()
    ]


def against(
    id: str, topic: str, statement: str, pair: tuple[str, str], quantity: Quantity, side: int, obstacle: str = ""
) -> Claim:
    """Return the claim that the first model's quantity lies above (`side` 1) or below (-1) the second model's."""

    def evaluate(study: Study) -> Finding:
        return judge(compare(study, pair[0], pair[1:], quantity, side))

    rule = _state(RULE_ONE, "it allows", quantity, side)
    return Claim(id, topic, statement, pair, **rule, evaluate=evaluate, needed=pair, moved=pair[:1], obstacle=obstacle)


def ahead_of_all(
    id: str, statement: str, models: list[str], model: str, quantity: Quantity, side: int, obstacle: str
) -> Claim:
    """Return the claim that a model's quantity lies above (1) or below (-1) that of all other `models`."""
    evaluate = partial(judge_best_of_all, model=model, quantity=quantity, side=side)
    rule = _state(RULE_EACH, "they allow", quantity, side) | {"needed": (model,), "moved": (model,)}
    return Claim(id, "overall", statement, tuple(models), **rule, evaluate=evaluate, obstacle=obstacle)


def _state(rule: str, allowing: str, quantity: Quantity, side: int) -> dict[str, Any]:
    """Return a claim's statistic, direction, rule and choices."""
    text = rule.format(side=DIRECTIONS[side])
    text += f"; {allowing} for {quantity.allows_for}" if quantity.allows_for else ""
    return {"statistic": quantity.statistic, "direction": DIRECTIONS[side], "rule": text, "choices": quantity.choices}


def judge_best_of_all(study: Study, model: str, quantity: Quantity, side: int) -> Finding:
    """Judge the claim that a model is ahead of every other model of its family."""
    others = rivals(study, model)
    if not others:
        raise CannotTellError("there is no other variant to compare with")
    return judge(compare(study, model, others, quantity, side)).with_note(failed_in(study, "scratch"))


def rivals(study: Study, model: str) -> list[str]:
    """Return the names of all other models of the same family with results that did not fail."""
    return [name for name in study.names(family_of(model)) if name != model and name not in study.failed]


def failed_in(study: Study, *families: str) -> str:
    """Return a note on the failed models of these families; an empty string if none failed."""
    names = [name for name in study.failed if family_of(name) in families]
    return f"counted as failed and left out: {', '.join(names)}" if names else ""


def variant_obstacle(params: Params, variant: str, remedies: set[str]) -> str:
    """Return why a variant does not represent the notes' remedy; an empty string if it does."""
    if variant not in params.variants:
        return f"params.yaml declares no variant {variant!r}"
    own = set(params.variants[variant].remedies)
    if own != remedies:
        return f"variants.{variant} has the remedies {sorted(own)}, the statement is about {sorted(remedies)}"
    return ""


def transfer_obstacle(params: Params) -> str:
    """Return why claims about transfer learning are not applicable; an empty string if they are."""
    untrained = params.backbone.weights == "none"
    return "backbone.weights is none: a random network has learned nothing to transfer" if untrained else ""
