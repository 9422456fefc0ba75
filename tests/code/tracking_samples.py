"""Small results, and a repository with its own tracking store, for the tests of fitgap.tracking."""

import atexit
import dataclasses
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fitgap.data.record import Record, Result
from fitgap.tracking import store
from fitgap.tracking.addresses import tracking_uri
from fitgap.tracking.relocate import relocate

DIGEST = "ab" * 32
CLASSES = ["café", "0"]
VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "DVC_ROOT",
    "DVC_EXP_NAME",
    *store.VARIABLES,
)


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
        "classes": CLASSES,
        "parameters": {"total": 100, "trainable": 90, "frozen": 10},
        "best_seed": seeds[0],
        "seeds": [{"seed": s, "test_accuracy": 0.9 + s / 100, "gap_last": 0.2, "note": "text"} for s in seeds],
    }
    return Result(Record(**record), pd.DataFrame(rows), np.zeros((len(seeds), 5, 2), np.float32))


def contestant(
    variant: str = "dropout",
    losses=(0.30, 0.31, 0.32),
    digest: str = DIGEST,
    validation_images: int = 200,
    stage: str = "scratch",
) -> Result:
    """Return the result of a model with these lowest validation losses by seed; all are equally accurate."""
    made = model(variant, validation_images=validation_images)
    same = made.record.seeds[0] | {"val_accuracy_best": 0.9}
    seeds = [{**same, "seed": s, "val_loss_best": x} for s, x in enumerate(losses)]
    inputs = {"data": {"name": "digits", "digest": digest}}
    return dataclasses.replace(made, record=dataclasses.replace(made.record, stage=stage, seeds=seeds, inputs=inputs))


def network():
    """Return an untrained network from uint8 images, 8 x 8 pixels, to the probabilities of CLASSES."""
    import keras

    layers = [
        keras.Input((8, 8, 3), dtype="uint8", name="images"),
        keras.layers.Rescaling(1 / 255, name="scale"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(len(CLASSES), activation="softmax", name="probabilities"),
    ]
    return keras.Sequential(layers)


def single(stage: str = "prepare", **measured) -> Result:
    """Return the result of a stage that trains nothing."""
    record = {"stage": stage, "variant": None, "params": {"data.image_size": 32}, "inputs": {}}
    return Result(Record(**record, measured={"images": 1797, **measured}))


def repository(folder: Path, monkeypatch) -> Path:
    """Go to an empty repository with a tracking database; give its folder."""
    forget(monkeypatch)
    folder.mkdir(exist_ok=True)
    shutil.copy(_database(), folder / "mlflow.db")
    relocate(folder)
    monkeypatch.chdir(folder)
    return folder


def forget(monkeypatch) -> None:
    """Unset the user's environment variables, and what this process knows of a store that failed; restore them."""
    monkeypatch.setattr(store, "_given_up", False)
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what the store sets is undone after the test
        monkeypatch.delenv(name)


@functools.cache
def _database() -> Path:
    """Set up a database once: MLflow takes seconds to migrate a fresh one."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        forget(patch)
        patch.chdir(folder)
        with store.open_store():
            return folder / "mlflow.db"


def client():
    """Return MLflow's client for the current repository's store."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri())


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
