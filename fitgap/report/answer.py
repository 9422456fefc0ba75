"""The report's summary in three sentences, generated from the results. **Names** are marked as in Markdown."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from fitgap.definitions.measurements import MEASUREMENTS
from fitgap.inference.verdicts import CONTRADICTED, SUPPORTED
from fitgap.report.claims.comparisons import ACCURACY, BASELINE, judge_best_of_all
from fitgap.report.study import Study


def write_answer(study: Study, table: pd.DataFrame, claims: list[dict[str, Any]]) -> list[str]:
    """Return three sentences: the smallest gap, the highest accuracy and the benefit of transfer learning.

    If no model trained from scratch has results, return two sentences: a remark on that, and transfer learning.
    """
    rows = table[~table["failed"]].set_index("model")
    scratch = rows[rows["family"] == "scratch"]
    if scratch.empty:
        return ["No network trained from scratch has results to speak of.", transfer(study, rows, claims)]
    return [gap(study, scratch), accuracy(study, scratch), transfer(study, rows, claims)]


def gap(study: Study, scratch: pd.DataFrame) -> str:
    """Return a sentence on the variant with the smallest final gap."""
    best = scratch["gap_last_mean"].idxmin()
    said = _loss(scratch.loc[best])
    if best == BASELINE:
        return f"Trained from scratch, no remedy leaves a smaller final gap than none does ({said} nats)."
    return (
        f"Trained from scratch, **{_variant(best)}** keeps training and validation closest: a final gap of "
        f"{said} nats{_against(scratch, best, _loss)}, {_certainty(study, best, 'gap_last')}."
    )


def accuracy(study: Study, scratch: pd.DataFrame) -> str:
    """Return a sentence on the variant with the highest test accuracy."""
    best = scratch["test_accuracy_mean"].idxmax()
    return (
        f"The most accurate from scratch is **{_variant(best)}** with {_percent(scratch.loc[best])} of the "
        f"test images{_against(scratch, best, _percent)}, {_certainty(study, best, ACCURACY)}."
    )


def _against(scratch: pd.DataFrame, best: str, said: Callable[[pd.Series], str]) -> str:
    if best == BASELINE or BASELINE not in scratch.index:
        return ""
    return f" against {said(scratch.loc[BASELINE])} without a remedy"


def transfer(study: Study, rows: pd.DataFrame, claims: list[dict[str, Any]]) -> str:
    """Return a sentence on transfer learning compared with training from scratch."""
    if not study.is_transfer:
        return "Nothing can be said of transfer learning: backbone.weights is none, a random network."
    start = study.params.finetune.head
    head, scratch = f"head@{start}", f"scratch@{start}"
    tuned = rows[rows["family"] == "finetune"]
    if tuned.empty or head not in rows.index or scratch not in rows.index:
        return "What borrowing brings cannot be said: a model it takes has no results."
    best = tuned["val_loss_best_mean"].idxmin()  # selected by validation loss, never by test results
    verdicts = {claim["id"]: claim["verdict"] for claim in claims}
    verdict = verdicts.get(f"finetune_{_variant(best)}_beats_scratch")
    said = {SUPPORTED: "which beats", CONTRADICTED: "which falls behind"}.get(verdict, "not clearly apart from")
    return (
        f"With VGG16 borrowed from {study.borrowed_from}, a new classifier on the frozen base gets "
        f"{_percent(rows.loc[head])} right; fine-tuned from **{_variant(best)}** on it gets "
        f"{_percent(rows.loc[best])}, {said} training from scratch ({_percent(rows.loc[scratch])})."
    )


def _certainty(study: Study, model: str, measurement: str) -> str:
    others = [name for name in study.names("scratch") if name != model and name not in study.failed]
    if not others:
        return "with nothing to compare it with"
    finding = judge_best_of_all(study, model, measurement, MEASUREMENTS[measurement].better)
    if finding.verdict == SUPPORTED:
        return "clearly ahead of every other variant"
    rival = finding.deciding.label.split(" - ")[1].split(":")[0]
    return f"but not clearly ahead of {_variant(rival)}"


def _variant(model: str) -> str:
    return model.split("@")[-1]


def _loss(row: pd.Series) -> str:
    return _spread(row["gap_last_mean"], row["gap_last_sd"], "{:.2f}")


def _percent(row: pd.Series) -> str:
    return _spread(100 * row["test_accuracy_mean"], 100 * row["test_accuracy_sd"], "{:.1f}") + "%"


def _spread(mean: float, sd: float, digits: str) -> str:
    return digits.format(mean) if pd.isna(sd) else f"{digits.format(mean)}\u00a0±\u00a0{digits.format(sd)}"
