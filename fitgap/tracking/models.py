"""Attach trained networks to their runs, for `mlflow.pyfunc.load_model` and `mlflow models serve`.

MLflow's own `mlflow.keras.log_model` uses the process's active run, and loads the saved model in another process to
infer its requirements. Here the run is an argument, and the requirements are known.

Scratch models are small, so all are attached. Of each transfer family, only the best is attached (lowest mean
validation loss), because each model contains the whole of VGG16, 59 MB.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap.data.record import Result
from fitgap.definitions.families import FAMILIES
from fitgap.definitions.measurements import HEADLINES
from fitgap.params.schema import Params
from fitgap.tracking import model_files, store
from fitgap.tracking.addresses import artifact_folder
from fitgap.tracking.existing import WRITER, wait_for_rival
from fitgap.tracking.failures import failures, warn

if TYPE_CHECKING:
    import keras
    from mlflow.entities import LoggedModel, Run

NAME = "model"
# A server receives tens of megabytes in one request and may need a while to store them, so the timeout is long and
# there is no retry. The timeout starts after the last byte sent. A server that hangs costs less than half a minute,
# including the run written before.
UPLOAD_LIMITS = {**store.REQUEST_LIMITS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def log_model(run_id: str | None, build: Callable[[], "keras.Model"], classes: list[str]) -> None:
    """Attach a network to a run, unless the run has one. Load it with `runs:/<run id>/model`.

    If the store fails, write one line to standard error.

    Parameters
    ----------
    run_id : str or None
        As returned by `runs.log_result`. None (the store failed, with a warning) does nothing.
    build : function without arguments
        Returns the whole network, from uint8 RGB images to class probabilities. Called only if the run has no model
        yet. An optimizer's state is not saved.
    classes : list of str
        Names of the classes, in the order of the network's outputs.

    Raises
    ------
    ValueError
        If the network does not take uint8 RGB images, or has another number of classes.
    """
    if run_id is None:
        return
    try:
        with store.open_store(UPLOAD_LIMITS) as opened:
            done = find_model(opened, run_id)
        if not done:
            network = build()  # takes seconds; outside the lock, so other processes can use the store
            model_files.check(network, classes)
            with store.open_store(UPLOAD_LIMITS) as opened:
                if not find_model(opened, run_id):
                    _write(opened, run_id, network, classes)
    except failures() as failure:
        warn(f"run {run_id}: its model is not in MLflow", failure)


def find_model(opened: store.Store, run_id: str, is_thorough: bool = False) -> "LoggedModel | None":
    """Return the run's complete model, or None; delete models that killed processes left, or whose files are gone.

    A model that another clone is writing stays. Files on this machine are always looked for, those on a server only if
    `is_thorough`: each model costs it five requests.
    """
    models = opened.client.search_logged_models([opened.experiment_id], f"source_run_id = '{run_id}'")
    complete = {model.model_id: model for model in models if _is_complete(opened, model, is_thorough)}
    for model in models:
        if model.model_id not in complete and not _is_others(opened, model):
            opened.client.delete_logged_model(model.model_id)
    return next(iter(complete.values()), None)


def _is_complete(opened: store.Store, model: "LoggedModel", is_thorough: bool) -> bool:
    looks = is_thorough or artifact_folder(model.artifact_location) is not None
    return model.status == "READY" and (not looks or is_stored(opened, model.artifact_location))


def is_stored(opened: store.Store, location: str) -> bool:
    """Return whether the store has all files of a model, and count the time of the requests that it takes."""
    with opened.waiting.count():
        return model_files.are_stored(location)


def _is_others(opened: store.Store, model: "LoggedModel") -> bool:
    return model.status != "READY" and model.tags.get(WRITER, opened.writer) != opened.writer


def _write(opened: store.Store, run_id: str, network: "keras.Model", classes: list[str]) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    client, run = opened.client, opened.client.get_run(run_id)
    opened.keep_time()
    model = client.create_logged_model(
        opened.experiment_id, NAME, run_id, tags={**_tags(run), WRITER: opened.writer}, params=dict(run.data.params)
    )
    opened.keep_time()
    about = Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id)
    with tempfile.TemporaryDirectory() as folder:
        model_files.save(Path(folder) / NAME, about, network, classes)
        client.log_model_artifacts(model.model_id, str(Path(folder) / NAME))
    if _has_rival(opened, model):
        client.delete_logged_model(model.model_id)
        return
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    _add_metrics(opened, run, model.model_id)
    client.finalize_logged_model(model.model_id, "READY")  # last, so that only complete models are READY


def _has_rival(opened: store.Store, model: "LoggedModel") -> bool:
    """Return whether another clone attached a model to the same run meanwhile; see `existing.find_rival`."""

    def look() -> list[tuple[str, bool]]:
        found = opened.client.search_logged_models([opened.experiment_id], f"source_run_id = '{model.source_run_id}'")
        return [(one.model_id, one.status == "READY") for one in found if one.tags.get(WRITER) != opened.writer]

    return wait_for_rival(look, model.model_id) is not None


def _tags(run: "Run") -> dict[str, str]:
    kept = ("stage", "variant", "seed", "best_seed")
    return {name: run.data.tags[name] for name in kept if name in run.data.tags}


def _add_metrics(opened: store.Store, run: "Run", model_id: str) -> None:
    """Add the run's headline metrics to the model; same time and step, so the run's own are not duplicated."""
    from mlflow.entities import Metric

    began, run_id = run.info.start_time, run.info.run_id
    known = {name: run.data.metrics[name] for name in HEADLINES if name in run.data.metrics}
    metrics = [Metric(k, value, began, 0, model_id=model_id, run_id=run_id) for k, value in known.items()]
    opened.client.log_batch(run_id, metrics, synchronous=True)


def models_to_attach(results: Iterable[Result]) -> list[Result]:
    """Return the results with models to attach: all from scratch, the best of each transfer family."""
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
) -> None:
    """Attach the best seed's network of each model in `models_to_attach` to its run, unless the run has one.

    Parameters
    ----------
    run_ids : model name -> run id; models without a run are skipped
    folder : models/
    backbone : the base's weights in Keras's notop format
    """
    for result in models_to_attach(results):
        if result.name in run_ids:
            build = partial(_load_network, result, params, folder, backbone)
            log_model(run_ids[result.name], build, result.record.classes)


def _load_network(result: Result, params: Params, folder: Path, backbone: Path):
    # Importing TensorFlow takes seconds, and is unnecessary if every run already has its network.
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly

    record = result.record
    weights = folder / record.stage / record.variant / f"seed-{record.best_seed}.weights.h5"
    return Assembly(params, len(record.classes), backbone).whole(params.model(record.stage, record.variant), weights)
