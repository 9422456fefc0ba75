"""One row per model: the table of the report, and summary.csv."""

import math
import statistics
from typing import Any

import pandas as pd

from fitgap.report.statistics import Proportion, over_seeds_and_images
from fitgap.report.study import Study
from fitgap.results import HEADLINES, spread

COLUMNS = (
    "model",
    "family",
    "variant",
    "test_accuracy_mean",
    "test_accuracy_sd",
    "test_accuracy_ci_low",
    "test_accuracy_ci_high",
    *(f"{name}_{what}" for name in HEADLINES if name != "test_accuracy" for what in ("mean", "sd")),
    "params_total",
    "params_trainable",
    "params_frozen",
    "seconds_mean",
    "images_per_second",
    "seeds",
    "failed",
)
WHOLE = ("params_total", "params_trainable", "params_frozen", "seeds")


def summary(study: Study) -> pd.DataFrame:
    """Give one row per model, in the order of params; what was not measured is empty.

    Columns: see COLUMNS. Means and standard deviations (n - 1) are over seeds; the 95% interval of the test
    accuracy allows for seeds and test images; `seconds_mean` is one seed's training, on the machine that
    measured it; `failed` says that some seed diverged.
    """
    table = pd.DataFrame([_row(study, name) for name in study.results], columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name.endswith(("_mean", "_sd", "_low", "_high", "per_second"))]
    return table.astype(dict.fromkeys(WHOLE, "Int64") | dict.fromkeys(numbers, "float64"))


def _row(study: Study, name: str) -> dict[str, Any]:
    record = study.results[name].record
    row = {"model": name, "family": record["stage"], "variant": record["variant"] or ""}
    row |= _measurements(study.seeds(name)) | _accuracy_interval(study, name) | _times(study.times.get(name))
    row |= {f"params_{kind}": count for kind, count in record.get("parameters", {}).items()}
    return row | {"seeds": len(record.get("seeds") or []), "failed": name in study.failed}


def _measurements(seeds: pd.DataFrame) -> dict[str, float | None]:
    row = {}
    for name in (name for name in HEADLINES if name in seeds):
        # A mean over the seeds that happened to survive would flatter a model that diverges.
        row[f"{name}_mean"] = seeds[name].mean(skipna=False)
        row[f"{name}_sd"] = spread(seeds[name])
    return row


def _accuracy_interval(study: Study, name: str) -> dict[str, float]:
    if name in study.failed or not study.has_answers(name):
        return {}
    right = study.right(name).to_numpy()
    one_network = len(right) == 1
    estimate = Proportion(right.mean(), right.shape[1]) if one_network else over_seeds_and_images(right)
    low, high = estimate.interval()
    return {"test_accuracy_ci_low": max(low, 0.0), "test_accuracy_ci_high": min(high, 1.0)}


def _times(times: dict[str, Any] | None) -> dict[str, float]:
    if times is None:
        return {}
    seconds = list(times.get("seed_seconds", {}).values())
    mean = statistics.fmean(seconds) if seconds else math.nan
    return {
        "seconds_mean": mean,
        "images_per_second": times.get("rates", {}).get("images_per_second", math.nan),
    }
