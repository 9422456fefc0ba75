"""The format of a folder in results/: the measurements of one stage.

    record.json             what was measured, on which inputs, with which params: per seed, in full
    metrics.json            the few numbers that `dvc metrics show` and `dvc exp show` list
    history.csv             one row per seed and epoch (training stages only)
    trials.csv              one row per trial and draw; empty without candidates (models with trials only)
    test_probabilities.npy  float32, (seeds, test images, classes) (models only; a moment comes first for trained
                            models, a layer for probes, a way for the learning curve)

MLflow's runs and the report are written from these files. They contain no clock time, run id or absolute path, so
that the same computation writes the same bytes. Wall times are stored separately (timings.py).
"""

import hashlib
import json
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fitgap.definitions.measurements import HEADLINES, name_at

RECORD, METRICS, HISTORY, TRIALS = "record.json", "metrics.json", "history.csv", "trials.csv"
PROBABILITIES = "test_probabilities.npy"
NO_TRIALS = pd.DataFrame(columns=["trial", "draw"])
Identity = dict[str, str]  # the keys "name" and "digest"


@dataclass(frozen=True)
class Record:
    """The contents of record.json. Fields that are None are omitted, except `variant`."""

    stage: str  # "scratch", for example
    variant: str | None  # the variant ("dropout") or the depth ("block5") of a model; None for a stage without either
    params: dict[str, Any]  # dotted key -> value
    inputs: dict[str, Identity]  # name of an input, "data" or "backbone" -> its identity
    outputs: dict[str, Identity] | None = None  # name of an output -> its identity
    measured: dict[str, Any] | None = None  # name -> number, for stages that train no models
    classes: list[str] | None = None  # the classes that a model predicts, in the order of its outputs
    layers: list[str] | None = None  # the layers that probes were fitted on
    ways: list[str] | None = None  # those to a classifier that a point of the learning curve compares
    contestants: dict[str, list[dict[str, Any]]] | None = None  # way -> records of what it trains in turn (choice only)
    chosen_trial: int | None = None  # the trial whose candidates a model was trained with
    moments: list[str] | None = None  # the epochs that a trained model was tested at
    test_positions: list[int] | None = None  # in the test split, that a model was evaluated on; None if all
    known_classes: list[str] | None = None  # in both the source and the target data (way 1)
    choice: dict[str, Any] | None = None  # key -> the value that trials chose among its candidates
    parameters: dict[str, int] | None = None  # numbers of weights: total, trainable, frozen
    best_seed: int | None = None  # the seed with the lowest validation loss
    seeds: list[dict[str, Any]] | None = None  # one dict per seed: "seed" and that seed's measurements
    not_applicable: str | None = None  # why there is no model
    models: dict[str, str] | None = None  # model name -> fingerprint of its result (report only)
    claims: list[dict[str, Any]] | None = None  # the contents of claims.json (report only)

    @property
    def name(self) -> str:
        """DVC's name of the stage: "scratch@dropout", or only "prepare" without a variant."""
        return self.stage if self.variant is None else f"{self.stage}@{self.variant}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as written to record.json."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in held.items() if value is not None or name == "variant"}


@dataclass(frozen=True)
class Result:
    """The measurements of one stage."""

    record: Record
    history: pd.DataFrame | None = None  # columns `seed`, `epoch` (from 1), then per-epoch measurements
    # float32, (seeds, test images, classes), in the order of `record.seeds`; of the best epoch if there are moments;
    # with an axis of layers or ways in front where there are several
    test_probabilities: np.ndarray | None = None
    other_moments: np.ndarray | None = None  # the same at the moments after the first; the moment comes first
    trials: pd.DataFrame | None = None  # a row per trial and draw, from `training.trials`; empty without candidates

    @property
    def name(self) -> str:
        """DVC's name of the stage."""
        return self.record.name

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """One row per seed (the index), one column per measurement."""
        return pd.DataFrame(self.record.seeds).set_index("seed")

    @property
    def is_model(self) -> bool:
        """Whether models were trained or evaluated, one per seed."""
        return bool(self.record.seeds)

    @property
    def metrics(self) -> dict[str, float]:
        """Headline numbers: means over seeds, and the standard deviation (n - 1) of the test accuracy."""
        if not self.is_model:
            return self.record.measured or {}
        means = {name: float(self.seeds[name].mean()) for name in HEADLINES if name in self.seeds}
        return {**means, "test_accuracy_sd": standard_deviation(self.seeds["test_accuracy"])}

    def at(self, moment: str) -> "Result":
        """Return this result as if each model were the one of that moment; unchanged if it has no moments.

        The test and the columns of the best and of the last epoch then speak of that moment.
        """
        if not self.record.moments:
            return self
        columns = {name: name_at(name, moment) for name in ("test_accuracy", "test_loss")}
        columns |= {f"{name}_{end}": f"{name}_{moment}" for name in ("gap", "accuracy_gap") for end in ("best", "last")}
        columns |= {f"{name}_best": f"{name}_{moment}" for name in ("val_loss", "val_accuracy")}
        rows = [row | {name: row[source] for name, source in columns.items()} for row in self.record.seeds]
        place = self.record.moments.index(moment)
        probabilities = self.other_moments[place - 1] if place else self.test_probabilities
        record = replace(self.record, seeds=rows, moments=None)
        return Result(record, self.history, probabilities, trials=self.trials)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the record and the history: equal for equal measurements on any machine."""
        digest = hashlib.sha256(_json(self.record.to_dict()).encode())
        if self.history is not None:
            digest.update(_csv(self.history).encode())
        return digest.hexdigest()

    def write(self, folder: Path) -> None:
        """Write the files of this result into an existing folder."""
        (folder / RECORD).write_text(_json(self.record.to_dict()), encoding="utf-8")
        (folder / METRICS).write_text(_json(self.metrics), encoding="utf-8")
        for name, table in ((HISTORY, self.history), (TRIALS, self.trials)):
            if table is not None:
                (folder / name).write_text(_csv(table), encoding="utf-8")
        if self.test_probabilities is not None:
            first, others = self.test_probabilities, self.other_moments
            np.save(folder / PROBABILITIES, first if others is None else np.stack([first, *others]))


def not_applicable(record: Record, why: str, history: pd.DataFrame | None = None) -> Result:
    """Return the result of a stage without a model; the report shows the reason `why`."""
    return Result(replace(record, not_applicable=why), history, np.empty((0, 0, 0), np.float32))


def read_result(folder: Path) -> Result:
    """Read a result from `folder`."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    history, trials = (
        pd.read_csv(folder / name, float_precision="round_trip") if (folder / name).exists() else None
        for name in (HISTORY, TRIALS)
    )
    saved = folder / PROBABILITIES
    probabilities, others = np.load(saved) if saved.exists() else None, None
    if probabilities is not None and not probabilities.size:  # empty: the stage has no model
        probabilities = None
    elif probabilities is not None and record.get("moments"):
        probabilities, others = probabilities[0], probabilities[1:]
    return Result(Record(**record), history, probabilities, others, trials)


def standard_deviation(values: pd.Series) -> float | None:
    """Return the standard deviation over seeds (n - 1); None for a single seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _finite(tree: Any) -> Any:
    """Replace infinities and NaN, as a diverged training produces, by None: JSON has no value for them."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _json(tree: Any) -> str:
    return json.dumps(_finite(tree), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(table: pd.DataFrame) -> str:
    # pandas writes floats exactly (repr), so the fingerprint is the same after reading the file back.
    return table.to_csv(index=False, lineterminator="\n")
