"""The shape of a folder in results/: what a stage leaves of its measurements, and what everything else reads.

    record.json             who was measured, on what, with which params: per seed, in full
    metrics.json            the few numbers that `dvc metrics show` and `dvc exp show` list
    history.csv             one row per seed and epoch (training stages only)
    test_probabilities.npy  float32, (seeds, test images, classes) (models only)

These files are the truth; MLflow's runs and the report are written from them. They hold no clock time, run id
or absolute path, so that the same computation leaves the same bytes. Wall times stand apart (fitgap/timings.py).
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RECORD, METRICS, HISTORY = "record.json", "metrics.json", "history.csv"
PROBABILITIES = "test_probabilities.npy"
HEADLINES = ("test_accuracy", "val_accuracy_best", "val_loss_best", "gap_last", "gap_best", "epochs_to_best")


@dataclass(frozen=True)
class Result:
    """What one stage measured.

    Attributes
    ----------
    record : dict
        Keys: `stage` ("scratch"), `variant` ("dropout", a depth, or None), `params` (dotted key -> value),
        `inputs` (name -> {"name", "digest"}), `measured` (name -> number; for stages that train no model per
        seed), and for models `classes`, `parameters` (total, trainable, frozen: numbers of weights),
        `best_seed` and `seeds`: a list with one dict per seed: "seed" and that seed's measurements.
    history : DataFrame or None
        Columns `seed`, `epoch` (from 1), then per-epoch measurements.
    test_probabilities : array or None
        float32, (seeds, test images, classes), in the order of `record["seeds"]`.
    """

    record: dict[str, Any]
    history: pd.DataFrame | None = None
    test_probabilities: np.ndarray | None = None

    @property
    def name(self) -> str:
        """The name used everywhere, DVC's own: `scratch@dropout`, or the stage's alone."""
        variant = self.record["variant"]
        return self.record["stage"] if variant is None else f"{self.record['stage']}@{variant}"

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """One row per seed (the index), one column per measurement."""
        return pd.DataFrame(self.record["seeds"]).set_index("seed")

    @property
    def is_model(self) -> bool:
        """Whether models were trained or judged, one per seed."""
        return bool(self.record.get("seeds"))

    @property
    def metrics(self) -> dict[str, float]:
        """The headline numbers: means over seeds, and the spread (sd, n - 1) of the test accuracy."""
        if not self.is_model:
            return self.record["measured"]
        means = {name: float(self.seeds[name].mean()) for name in HEADLINES if name in self.seeds}
        return {**means, "test_accuracy_sd": spread(self.seeds["test_accuracy"])}

    @property
    def fingerprint(self) -> str:
        """Sha256 of everything measured: equal for equal measurements, whenever and wherever made."""
        digest = hashlib.sha256(_json(self.record).encode())
        if self.history is not None:
            digest.update(_csv(self.history).encode())
        return digest.hexdigest()

    def write(self, folder: Path) -> None:
        """Leave the files of this result in an existing folder."""
        (folder / RECORD).write_text(_json(self.record), encoding="utf-8")
        (folder / METRICS).write_text(_json(self.metrics), encoding="utf-8")
        if self.history is not None:
            (folder / HISTORY).write_text(_csv(self.history), encoding="utf-8")
        if self.test_probabilities is not None:
            np.save(folder / PROBABILITIES, self.test_probabilities)


def read(folder: Path) -> Result:
    """Read the result that a stage left in `folder`."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    history = pd.read_csv(folder / HISTORY, float_precision="round_trip") if (folder / HISTORY).exists() else None
    saved = folder / PROBABILITIES
    probabilities = np.load(saved) if saved.exists() else None
    return Result(record, history, probabilities if probabilities is not None and probabilities.size else None)


def spread(values: pd.Series) -> float | None:
    """Standard deviation over seeds (n - 1); None where one seed leaves it unknown."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _finite(tree: Any) -> Any:
    """Replace what JSON cannot hold, the infinities and NaN of a diverged training, by null."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _json(tree: Any) -> str:
    return json.dumps(_finite(tree), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(table: pd.DataFrame) -> str:
    # repr-exact floats: reading back gives the same bits, so the fingerprint survives a round trip.
    return table.to_csv(index=False, lineterminator="\n")
