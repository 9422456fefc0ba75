"""Data tables: summary.csv (one row per model), claims.csv (per claim) and curves.csv (per model, split and epoch)."""

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd

from fitgap.claims.calibration import read_answers
from fitgap.claims.claim import without_checks
from fitgap.claims.study import Study, estimate_accuracy
from fitgap.data.record import Record, Result, standard_deviation
from fitgap.definitions.measurements import HEADLINES
from fitgap.inference.verdicts import VERDICTS

CALIBRATION = "calibration_error"
NUMBERS = (
    *("test_accuracy_mean", "test_accuracy_sd", "test_accuracy_ci_low", "test_accuracy_ci_high"),
    *(f"{name}_{what}" for name in (*HEADLINES[1:], CALIBRATION) for what in ("mean", "sd")),
)
COUNTS, TIMES = ("params_total", "params_trainable", "params_frozen"), ("seconds_mean", "images_per_second")
SUMMARY_COLUMNS = ("model", "family", "variant", *NUMBERS, *COUNTS, *TIMES, "seeds", "failed")


def summary_table(study: Study) -> pd.DataFrame:
    """Return one row per model, in the order of params, with columns SUMMARY_COLUMNS; missing values are empty.

    Means and standard deviations (n - 1) are over seeds. The 95% interval of the test accuracy covers the
    variation of seeds and test images. The calibration error is that of `claims.calibration`, over all classes
    that a model names. `seconds_mean` is the training time of one seed on the machine that measured it. `failed` is
    true if a seed diverged.
    """
    table = pd.DataFrame([_row(study, name) for name in study.results], columns=list(SUMMARY_COLUMNS))
    types = dict.fromkeys((*COUNTS, "seeds"), "Int64") | dict.fromkeys((*NUMBERS, *TIMES), "float64")
    return table.astype(types)


def _row(study: Study, name: str) -> dict[str, Any]:
    record, seeds = study.results[name].record, study.seeds(name)
    row = {"model": name, "family": record.stage, "variant": record.variant or ""}
    for measured in (column for column in HEADLINES if column in seeds):
        row |= _over_seeds(measured, seeds[measured])
    answers = read_answers(study, name)
    if answers is not None:
        row |= _accuracy_interval(answers.right.to_numpy()) | _over_seeds(CALIBRATION, answers.errors)
    row |= _times(study.times.get(name) or {})
    row |= {f"params_{kind}": count for kind, count in (record.parameters or {}).items()}
    return row | {"seeds": len(record.seeds or []), "failed": name in study.failed}


def _over_seeds(name: str, values: pd.Series) -> dict[str, float | None]:
    # No skipna: a mean over the surviving seeds would overrate a model that diverges.
    return {f"{name}_mean": values.mean(skipna=False), f"{name}_sd": standard_deviation(values)}


def _accuracy_interval(right: np.ndarray) -> dict[str, float]:
    low, high = estimate_accuracy(right).interval()
    return {"test_accuracy_ci_low": max(low, 0.0), "test_accuracy_ci_high": min(high, 1.0)}


def _times(times: dict[str, Any]) -> dict[str, float]:
    seconds = list(times.get("seed_seconds", {}).values())
    rate = times.get("rates", {}).get("images_per_second", math.nan)
    return {"seconds_mean": statistics.fmean(seconds) if seconds else math.nan, "images_per_second": rate}


CLAIM_COLUMNS = (
    *("id", "topic", "statement", "verdict", "estimate", "ci_low", "ci_high", "margin", "win_rate", "unit", "n"),
    *("compared", "direction", "note", "kind", "robust"),
)
NO_UNIT = "as it is"


def claims_table(claims: list[dict[str, Any]]) -> pd.DataFrame:
    """Return one row per claim, in the order of the report; `claims` comes from `judge_all`.

    `unit` is never empty, because plots group claims by unit.
    """
    table = pd.DataFrame(claims, columns=list(CLAIM_COLUMNS))
    return table.assign(unit=table["unit"].replace("", NO_UNIT))


SPLITS = {"training": "train", "validation": "val"}


def curves_table(study: Study) -> pd.DataFrame:
    """Return one row per model, split and epoch.

    Columns: model, split ("training" or "validation"), epoch, loss and accuracy (means over seeds). Models trained
    at the higher learning rate are left out: a first loss of 50 would flatten all other curves on common axes.
    """
    names = [name for name in study.results if name not in study.names("highrate")]
    parts = [_mean_curves(name, study.history(name)) for name in names if study.history(name) is not None]
    return pd.concat(parts, ignore_index=True)


def _mean_curves(name: str, history: pd.DataFrame) -> pd.DataFrame:
    means = history.groupby("epoch", as_index=False).mean()
    parts = []
    for split, column in SPLITS.items():
        values = {"loss": means[f"{column}_loss"], "accuracy": means[f"{column}_accuracy"]}
        parts.append(pd.DataFrame({"model": name, "split": split, "epoch": means["epoch"], **values}))
    return pd.concat(parts)


def describe_report(study: Study, claims: list[dict]) -> Result:
    """Return the report's result for MLflow: metrics for each claim's estimate and interval, counts of findings."""
    verdicts = [claim["verdict"] for claim in without_checks(claims)]
    counts = {f"claims_{kind.replace(' ', '_')}": verdicts.count(kind) for kind in VERDICTS}
    ends = {"": "estimate", "_ci_low": "ci_low", "_ci_high": "ci_high"}
    record = Record(
        stage="report",
        variant=None,
        params={"seeds": study.params.seeds},
        inputs={"data": study.prepared.identity},
        measured=counts | {f"{c['id']}{end}": c[key] for c in claims for end, key in ends.items()},
        models={name: result.fingerprint for name, result in study.results.items()},
        claims=claims,
    )
    return Result(record)
