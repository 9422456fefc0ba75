"""Attach trained networks to their runs, where `mlflow.pyfunc.load_model` and `mlflow models serve` find them.

MLflow's own `mlflow.keras.log_model` takes whatever run is active in the process, and loads the saved model in
another process to guess its requirements. Here the run is named, and the requirements are known.

Every scratch model is small and has one. Of each transfer family only the best does (lowest mean validation
loss): each holds the whole of VGG16, 59 MB.
"""

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap.definitions.families import FAMILIES
from fitgap.definitions.measurements import HEADLINES
from fitgap.tracking import store
from fitgap.tracking.failures import failures, warn

if TYPE_CHECKING:
    import keras
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import Model, ModelSignature

from collections.abc import Iterable, Mapping

from fitgap.params.schema import Params
from fitgap.pipeline.record import Result

NAME = "model"
# A server takes tens of megabytes in one request and may need a while to put them away: long, but once. It counts
# from the last byte sent; one that hangs costs less than half a minute, the run written before included.
UPLOAD_LIMITS = {**store.REQUEST_LIMITS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


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
        with store.open_store(UPLOAD_LIMITS) as opened:
            done = find_model(opened, run_id)
        if not done:
            network = build()  # takes seconds, in which other processes may use the store
            with store.open_store(UPLOAD_LIMITS) as opened:
                if not find_model(opened, run_id):
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


def find_model(opened: store.Store, run_id: str) -> "LoggedModel | None":
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


def models_to_attach(results: Iterable[Result]) -> list[Result]:
    """Choose the models to attach: all from scratch, the best of each transfer family."""
    trained = [result for result in results if result.is_model and FAMILIES[result.record.stage].attached != "none"]
    best: dict[str, Result] = {}
    for result in trained:
        holder = best.setdefault(result.record.stage, result)
        if result.metrics["val_loss_best"] < holder.metrics["val_loss_best"]:
            best[result.record.stage] = result
    return [one for one in trained if FAMILIES[one.record.stage].attached == "all" or one is best[one.record.stage]]


def attach_models(
    results: Iterable[Result],
    run_ids: Mapping[str, str],
    params: Params,
    folder: Path,
    backbone: Path,
    images: np.ndarray,
) -> None:
    """Attach the best seed's network of each model worth loading to its run, unless the run has it.

    Parameters
    ----------
    run_ids : model name -> run id; models without a run are left out
    folder : models/
    backbone : the base's weights in Keras's notop format
    images : uint8, (n, size, size, 3); only the shape is read
    """
    for result in models_to_attach(results):
        if result.name in run_ids:
            log_model(run_ids[result.name], lambda one=result: _load_network(one, params, folder, backbone), images)


def _load_network(result: Result, params: Params, folder: Path, backbone: Path):
    # TensorFlow takes seconds to import; where every run has its network, it is not needed.
    from fitgap.system.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly

    record = result.record
    weights = folder / record.stage / record.variant / f"seed-{record.best_seed}.weights.h5"
    return Assembly(params, len(record.classes), backbone).whole(params.model(record.stage, record.variant), weights)
