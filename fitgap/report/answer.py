"""The report's summary in three sentences, generated from the results.

**Names** are marked as in Markdown.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from fitgap.claims.comparisons import ACCURACY, BASELINE, GAP, Quantity, judge_best_of_all, rivals
from fitgap.claims.learning_curve import WAYS, usual_models
from fitgap.claims.study import Study
from fitgap.data.draws import count_drawn
from fitgap.inference.verdicts import CONTRADICTED, NO_DIFFERENCE, SUPPORTED
from fitgap.report.figures.learning_curve import LearningCurve

COMPARED = {
    SUPPORTED: "which beats",
    CONTRADICTED: "which falls behind",
    NO_DIFFERENCE: "with no relevant difference to",
}


def write_answer(
    study: Study, table: pd.DataFrame, claims: list[dict[str, Any]], curve: LearningCurve | None
) -> list[str]:
    """Return three sentences: the smallest gap, the highest accuracy and the benefit of transfer learning.

    If no model trained from scratch has results, return two sentences: a remark on that, and transfer learning.
    """
    rows = table[~table["failed"]].set_index("model")
    scratch = rows[rows["family"] == "scratch"]
    if scratch.empty:
        return ["No network trained from scratch has results to speak of.", transfer(study, rows, claims, curve)]
    return [gap(study, scratch), accuracy(study, scratch), transfer(study, rows, claims, curve)]


def gap(study: Study, scratch: pd.DataFrame) -> str:
    """Return a sentence on the variant with the smallest final gap."""
    best = scratch["gap_last_mean"].idxmin()
    if best == BASELINE:
        own = _loss(scratch.loc[best])
        return f"Trained from scratch, no remedy leaves a smaller final gap than none does ({own} nats)."
    return (
        f"Trained from scratch, **{_variant(best)}** keeps training and validation closest: a final gap of "
        f"{_loss(scratch.loc[best])} nats{_against(scratch, best, _loss)}, {_certainty(study, best, GAP, -1)}."
    )


def accuracy(study: Study, scratch: pd.DataFrame) -> str:
    """Return a sentence on the variant with the highest test accuracy."""
    best = scratch["test_accuracy_mean"].idxmax()
    return (
        f"The most accurate from scratch is **{_variant(best)}** with {_percent(scratch.loc[best])} of the "
        f"test images{_against(scratch, best, _percent)}, {_certainty(study, best, ACCURACY, 1)}."
    )


def _against(scratch: pd.DataFrame, best: str, words: Callable[[pd.Series], str]) -> str:
    is_alone = best == BASELINE or BASELINE not in scratch.index
    return "" if is_alone else f" against {words(scratch.loc[BASELINE])} without a remedy"


def transfer(study: Study, rows: pd.DataFrame, claims: list[dict[str, Any]], curve: LearningCurve | None) -> str:
    """Return a sentence on transfer learning compared with training from scratch."""
    if not study.is_transfer:
        return "Nothing can be said of transfer learning: backbone.weights is none, a random network."
    start = study.params.finetune.head
    head, scratch = f"head@{start}", f"scratch@{start}"
    best = usual_models(study).get("finetune")  # selected by validation loss, never by test results
    if best is None or head not in rows.index or scratch not in rows.index:
        return "What borrowing brings cannot be said: a model it takes has no results."
    verdicts = {claim["id"]: claim["verdict"] for claim in claims}
    compared = COMPARED.get(verdicts.get(f"finetune_{_variant(best)}_beats_scratch"), "not clearly apart from")
    return (
        f"With VGG16 borrowed from {study.borrowed_from}, a new classifier on the frozen base gets "
        f"{_percent(rows.loc[head])} right; fine-tuned from **{_variant(best)}** on it gets "
        f"{_percent(rows.loc[best])}, {compared} training from scratch ({_percent(rows.loc[scratch])})"
        f"{_crossing(curve)}."
    )


def _crossing(curve: LearningCurve | None) -> str:
    """Return a clause on where training from scratch catches up; an empty string without a learning curve."""
    crossings = curve.crossings if curve else {}
    way = next((way for way in ("finetune", "head") if way in crossings), None)
    if way is None:
        return ""
    return f"; against {WAYS[way]}, training from scratch {crossings[way].in_words(curve.classes)}"


def count_images(study: Study) -> dict[str, int]:
    """Count the images of the pool and of each split; in the pool, copies count once."""
    prepared = study.prepared
    fixed = {name: rows.stop - rows.start for name, rows in prepared.rows.items() if name != "pool"}
    pool = len(np.unique(prepared.copies[prepared.rows["pool"]]))
    return fixed | count_drawn(prepared, study.params.data) | {"pool": pool}


def _certainty(study: Study, model: str, quantity: Quantity, side: int) -> str:
    if not rivals(study, model):
        return "with nothing to compare it with"
    finding = judge_best_of_all(study, model, quantity, side)
    if finding.verdict == SUPPORTED:
        return "clearly ahead of every other variant"
    rival = _variant(finding.deciding.label.split(" - ")[1].split(":")[0])
    if finding.verdict == NO_DIFFERENCE:
        return f"but with no relevant difference to {rival}"
    return f"but not clearly ahead of {rival}"


def _variant(model: str) -> str:
    return model.split("@")[-1]


def _loss(row: pd.Series) -> str:
    return _spread(row["gap_last_mean"], row["gap_last_sd"], 2)


def _percent(row: pd.Series) -> str:
    return _spread(100 * row["test_accuracy_mean"], 100 * row["test_accuracy_sd"], 1) + "%"


def _spread(mean: float, sd: float, digits: int) -> str:
    return f"{mean:.{digits}f}" + ("" if pd.isna(sd) else f"\u00a0±\u00a0{sd:.{digits}f}")
