"""How fast each way gets to a good validation accuracy: in epochs, and in seconds where measured."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fitgap.report.claims.comparisons import epochs_until
from fitgap.report.study import Study


@dataclass(frozen=True)
class Pace:
    """One model's way to the best validation accuracy of the scratch baseline.

    Attributes
    ----------
    model : str
    reached, seeds : int
        How many seeds get there, of how many.
    epochs : float
        Mean over the seeds that get there; NaN if none does.
    seconds_per_epoch : float
        NaN where no time was measured.
    head_start : float
        Seconds that had been spent before the first epoch: fine-tuning begins from a trained head.
    """

    model: str
    reached: int
    seeds: int
    epochs: float
    seconds_per_epoch: float
    head_start: float

    @property
    def seconds(self) -> float:
        """Seconds until it gets there."""
        return self.head_start + self.epochs * self.seconds_per_epoch


def measure_paces(study: Study) -> list[Pace]:
    """Give the pace of the scratch baseline, the frozen base's classifier and each fine-tuning depth.

    Without a scratch baseline there is nothing to reach, and the list is empty.
    """
    if "scratch@baseline" not in study.results:
        return []
    scratch = study.history("scratch@baseline")
    targets = scratch.groupby("seed")["val_accuracy"].max()
    start = f"head@{study.params.finetune.head}"
    names = ["scratch@baseline", *dict.fromkeys(["head@baseline", start]), *study.names("finetune")]
    present = [name for name in names if name in study.results and study.history(name) is not None]
    return [_pace(study, name, targets, start if name.startswith("finetune") else None) for name in present]


def _pace(study: Study, name: str, targets: pd.Series, start: str | None) -> Pace:
    history = study.history(name)
    until = epochs_until(history, targets[targets.index.isin(history["seed"])])
    reached = until[np.isfinite(until)]
    head_start = training_seconds(study, start) if start else 0.0
    per_epoch = training_seconds(study, name) / history["epoch"].max()
    mean = float(reached.mean()) if len(reached) else np.nan
    return Pace(name, len(reached), len(until), mean, per_epoch, head_start)


def training_seconds(study: Study, name: str) -> float:
    """Give the mean seconds of training one seed; NaN where no time was measured."""
    seconds = list(((study.times.get(name) or {}).get("seed_seconds") or {}).values())
    return float(np.mean(seconds)) if seconds else np.nan
