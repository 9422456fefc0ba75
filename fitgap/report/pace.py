"""Training time to a target validation accuracy: in epochs, and in seconds if measured."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fitgap.claims.study import Study
from fitgap.claims.transfer import epochs_until


@dataclass(frozen=True)
class Pace:
    """Time that one model needs to reach the scratch baseline's best validation accuracy.

    Attributes
    ----------
    model : str
    reached, seeds : int
        Number of repetitions (seeds) that reach the target, and number of all.
    epochs : float
        Mean over the repetitions that reach the target; NaN if none does.
    seconds_per_epoch : float
        NaN if no time was measured.
    head_start : float
        Seconds spent before the first epoch: fine-tuning starts from a trained head.
    """

    model: str
    reached: int
    seeds: int
    epochs: float
    seconds_per_epoch: float
    head_start: float

    @property
    def seconds(self) -> float:
        """Seconds until the target is reached."""
        return self.head_start + self.epochs * self.seconds_per_epoch


def measure_paces(study: Study) -> list[Pace]:
    """Measure the pace of the scratch baseline, the heads on the frozen base and each fine-tuning depth.

    The list is empty without a scratch baseline, because it defines the target.
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
    """Return the mean training time of one repetition in seconds; NaN if no time was measured."""
    seconds = list(((study.times.get(name) or {}).get("seed_seconds") or {}).values())
    return float(np.mean(seconds)) if seconds else np.nan
