"""Comparisons used by claims: paired by seed, and for test accuracy also by test image."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from fitgap.claims.claim import CannotTellError
from fitgap.claims.study import Study
from fitgap.definitions.families import family_of
from fitgap.definitions.measurements import MEASUREMENTS
from fitgap.inference.estimates import Estimate, estimate_over_seeds, estimate_over_seeds_and_images
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

ACCURACY = "test_accuracy"
BASELINE = "scratch@baseline"
RULE_EACH = (
    "supported if the 95% interval of the difference to every other variant lies {side} 0; "
    "contradicted if, with intervals widened for their number (Bonferroni), one lies on the other side"
)
RULE_ONE = "supported if the 95% interval lies {side} 0; contradicted if it lies on the other side"


def difference(study: Study, model: str, other: str, measurement: str) -> Estimate:
    """Estimate the mean difference `model` - `other` of a measurement, paired by seed.

    Test accuracies are also paired by test image; their interval covers the variation of seeds and images.
    """
    if measurement == ACCURACY:
        return accuracy_difference(study, model, other)
    return estimate_over_seeds(study.seeds(model)[measurement] - study.seeds(other)[measurement])


def accuracy_difference(study: Study, model: str, other: str) -> Estimate:
    """Estimate the difference of two models' test accuracies over seeds and test images.

    The unchanged network (`asis`) has no seeds: its predictions are compared with those of every seed of the other
    model. If it covers only some test images, only those are compared.
    """
    right, other_right = right_answers(study, model), right_answers(study, other)
    if model == "asis":
        right = pd.DataFrame(np.tile(right, (len(other_right), 1)), other_right.index, right.columns)
    seeds, images = right.index.intersection(other_right.index), right.columns.intersection(other_right.columns)
    return estimate_over_seeds_and_images((right - other_right).loc[seeds, images].to_numpy())


def right_answers(study: Study, model: str) -> pd.DataFrame:
    """Return 1.0 for each correct prediction and 0.0 for each wrong one: DataFrame, rows seeds, columns test images.

    Raises
    ------
    CannotTellError
        If the model has no predictions on the test images.
    """
    if not study.has_answers(model):
        raise CannotTellError(f"{model} left no answers on the test images")
    return study.right(model).astype(float)


def compare(study: Study, model: str, others: Iterable[str], measurement: str, side: int) -> list[Comparison]:
    """Compare a model with each of `others`; failed models are left out."""
    name = MEASUREMENTS[measurement]
    return [
        Comparison(
            f"{model} - {other}: {name.title}",
            difference(study, model, other, measurement),
            side,
            name.unit,
            name.margin,
        )
        for other in others
        if other not in study.failed
    ]


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
    found = set(params.variants[variant].remedies)
    if found != remedies:
        return f"variants.{variant} has the remedies {sorted(found)}, the statement is about {sorted(remedies)}"
    return ""


def judge_best_of_all(study: Study, model: str, measurement: str, side: int) -> Finding:
    """Judge the claim that a model is ahead of every other model of its family."""
    others = rivals(study, model)
    if not others:
        raise CannotTellError("there is no other variant to compare with")
    finding = judge(compare(study, model, others, measurement, side))
    return replace(finding, note="; ".join(filter(None, [finding.note, failed_in(study, "scratch")])))


def judge_against(study: Study, model: str, other: str, measurement: str, side: int) -> Finding:
    """Judge the claim that a model is ahead of one other model."""
    return judge(compare(study, model, [other], measurement, side))


def transfer_obstacle(params: Params) -> str:
    """Return why claims about transfer learning are not applicable; an empty string if they are."""
    untrained = params.backbone.weights == "none"
    return "backbone.weights is none: a random network has learned nothing to transfer" if untrained else ""


def epochs_until(history: pd.DataFrame, targets: pd.Series) -> pd.Series:
    """Return each seed's first epoch with at least its target validation accuracy; infinity if there is none.

    `targets` maps seeds to validation accuracies.
    """
    curves = history.pivot(index="epoch", columns="seed", values="val_accuracy").reindex(columns=targets.index)
    reached = curves.ge(targets, axis="columns")
    return reached.idxmax().astype(float).where(reached.any(), np.inf)
