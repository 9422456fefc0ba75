"""Attach a trained network to its run, where `mlflow.pyfunc.load_model` and `mlflow models serve` find it.

MLflow's own `mlflow.keras.log_model` takes whatever run is active in the process, and loads the saved model
in another process to guess its requirements. Here the run is named, and the requirements are known.
"""

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap.results import HEADLINES
from fitgap.tracking import store
from fitgap.tracking.failures import failures, warn

if TYPE_CHECKING:
    import keras
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import Model, ModelSignature

NAME = "model"
# A server takes tens of megabytes in one request and may need a while to put them away: long, but once. It counts
# from the last byte sent; one that hangs costs less than half a minute, the run written before included.
PATIENCE = {**store.PATIENCE, "MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def log_model(run_id: str | None, build: Callable[[], "keras.Model"], images: np.ndarray) -> None:
    """Attach a network to a run, unless the run has one; `runs:/<run id>/model` loads it.

    Where the store fails, one line on standard error says so.

    Parameters
    ----------
    run_id : str or None
        What `runs.log` gave; None (the store failed, and was warned of) does nothing.
    build : function without arguments
        Gives the network, whole: uint8 RGB images in, class probabilities out. Called only where the run has
        no model yet. An optimizer's state is left out.
    images : array
        uint8, (n, height, width, 3); only the shape is read.

    Raises
    ------
    ValueError
        The images are not uint8 RGB images.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images: {images.dtype} {images.shape}; a model takes uint8 (n, height, width, 3)")
    if run_id is None:
        return
    try:
        with store.opened(PATIENCE) as opened:
            done = ready(opened, run_id)
        if not done:
            network = build()  # takes seconds, in which other processes may use the store
            with store.opened(PATIENCE) as opened:
                if not ready(opened, run_id):
                    _write(opened, run_id, network, images.shape[1:])
    except failures() as failure:
        warn(f"run {run_id}: its model is not in MLflow", failure)


def requirements() -> list[str]:
    """Give what it takes to load a model, in the versions installed here."""
    versions = {name: _version(name) for name in ("keras", "tensorflow", "tensorflow-cpu", "numpy")}
    return [f"{name}=={version}" for name, version in versions.items() if version]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def ready(opened: store.Store, run_id: str) -> "LoggedModel | None":
    """Give the run's complete model, if it has one; remove what a process that died has left of one."""
    condition = f"source_run_id = '{run_id}'"
    models = opened.client.search_logged_models([opened.experiment_id], condition)
    for model in models:
        if model.status != "READY":
            opened.client.delete_logged_model(model.model_id)
    return next((model for model in models if model.status == "READY"), None)


def _write(opened: store.Store, run_id: str, network: "keras.Model", shape: tuple[int, ...]) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    client, run = opened.client, opened.client.get_run(run_id)
    opened.keep_time()
    model = client.create_logged_model(
        opened.experiment_id, NAME, run_id, tags=_tags(run), params=dict(run.data.params)
    )
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    opened.keep_time()
    about = Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id)
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder) / NAME, about, network, shape)
        client.log_model_artifacts(model.model_id, str(Path(folder) / NAME))
    _add_metrics(opened, run, model.model_id)
    client.finalize_logged_model(model.model_id, "READY")  # last: only a model that is complete is READY


def _save(folder: Path, about: "Model", network: "keras.Model", shape: tuple[int, ...]) -> None:
    import mlflow.keras

    mlflow.keras.save_model(
        _without_optimizer(network),
        str(folder),
        mlflow_model=about,
        signature=_signature(shape, network.output_shape[-1]),
        pip_requirements=requirements(),
    )


def _signature(shape: tuple[int, ...], classes: int) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype("uint8"), (-1, *shape))
    return ModelSignature(Schema([images]), Schema([TensorSpec(np.dtype("float32"), (-1, classes))]))


def _without_optimizer(network: "keras.Model") -> "keras.Model":
    """Give the network without its optimizer's state, which would treble the file."""
    if getattr(network, "optimizer", None) is None:
        return network
    bare = type(network).from_config(network.get_config())  # clone_model would compile the copy as well
    bare.set_weights(network.get_weights())
    return bare


def _tags(run: "Run") -> dict[str, str]:
    kept = ("stage", "variant", "seed", "best_seed")
    return {name: run.data.tags[name] for name in kept if name in run.data.tags}


def _add_metrics(opened: store.Store, run: "Run", model_id: str) -> None:
    """Show the run's headlines beside the model too; same time and step, so the run's own stay single."""
    from mlflow.entities import Metric

    began, run_id = run.info.start_time, run.info.run_id
    known = {name: run.data.metrics[name] for name in HEADLINES if name in run.data.metrics}
    metrics = [Metric(k, value, began, 0, model_id=model_id, run_id=run_id) for k, value in known.items()]
    opened.client.log_batch(run_id, metrics, synchronous=True)
