"""Small results, and a repository with its own tracking store, for the tests of fitgap.tracking."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from fitgap.pipeline.record import Record, Result
from fitgap.tracking import store
from fitgap.tracking.relocate import relocate

DIGEST = "ab" * 32
VARIABLES = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", *store.REQUEST_LIMITS)


def model(variant: str = "dropout", seeds=(0, 1, 2), epochs: int = 4, **params) -> Result:
    """Return the result of a model; seed s has test accuracy 0.9 + s / 100 and val_loss 1 / epoch + s."""
    rows = [
        {"seed": s, "epoch": e, "train_loss": 0.5 / e, "val_loss": 1 / e + s}
        for s in seeds
        for e in range(1, epochs + 1)
    ]
    record = {
        "stage": "scratch",
        "variant": variant,
        "params": {"scratch.epochs": epochs, "scratch.filters": [32, 64], "variants.batch_norm": True, **params},
        "inputs": {"data": {"name": "digits", "digest": DIGEST}},
        "classes": ["0", "1"],
        "parameters": {"total": 100, "trainable": 90, "frozen": 10},
        "best_seed": seeds[0],
        "seeds": [{"seed": s, "test_accuracy": 0.9 + s / 100, "gap_last": 0.2, "note": "text"} for s in seeds],
    }
    return Result(Record(**record), pd.DataFrame(rows), np.zeros((len(seeds), 5, 2), np.float32))


def single(stage: str = "prepare", **measured) -> Result:
    """Return the result of a stage that trains nothing."""
    record = {"stage": stage, "variant": None, "params": {"data.image_size": 32}, "inputs": {}}
    return Result(Record(**record, measured={"images": 1797, **measured}))


def repository(folder: Path, monkeypatch) -> Path:
    """Go to an empty repository with a tracking database; give its folder."""
    forget_surroundings(monkeypatch)
    folder.mkdir(exist_ok=True)
    shutil.copy(_database(), folder / "mlflow.db")
    relocate(folder)
    monkeypatch.chdir(folder)
    return folder


def forget_surroundings(monkeypatch) -> None:
    """Unset the user's environment variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@functools.cache
def _database() -> Path:
    """Set up a database once: MLflow takes seconds to migrate a fresh one."""
    from fitgap.tracking import database, store

    store.disable_telemetry()
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with store.silence_logging():
        database.prepare_database(f"sqlite:///{folder / 'mlflow.db'}", folder)
    return folder / "mlflow.db"


def client():
    """Return MLflow's client for the current repository's store."""
    from mlflow import MlflowClient

    return MlflowClient(store.tracking_uri())


def active_runs() -> list:
    """Return all runs that are not deleted, oldest first."""
    experiment = client().get_experiment_by_name("fitgap").experiment_id
    return client().search_runs([experiment], order_by=["attributes.start_time ASC"])


def children(run_id: str) -> list:
    """Return the children of a run, by name."""
    found = [run for run in active_runs() if run.data.tags.get("mlflow.parentRunId") == run_id]
    return sorted(found, key=lambda run: run.info.run_name)


def curve(run_id: str, metric: str) -> dict[int, float]:
    """Return a metric's values by step."""
    return {point.step: point.value for point in client().get_metric_history(run_id, metric)}
