"""Attach trained networks to their runs, for `mlflow.pyfunc.load_model` and `mlflow models serve`.

MLflow's own `mlflow.keras.log_model` uses the process's active run, and loads the saved model in another process to
infer its requirements. Here the run is an argument, and the requirements are known.

Scratch models are small, so all are attached. Of each transfer family, only the best is attached (highest mean
validation accuracy), because each model contains the whole of VGG16, 59 MB.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap.data.as_trained import model_as_trained
from fitgap.data.record import Result
from fitgap.data.results import best, weights_file
from fitgap.definitions.families import FAMILIES
from fitgap.definitions.measurements import HEADLINES
from fitgap.images import decoding
from fitgap.params.schema import Params
from fitgap.system.errors import UserError
from fitgap.tracking.runs import PARENT, find_run
from fitgap.tracking.store import Store, StoreError, open_store, warn

if TYPE_CHECKING:
    import keras
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import Model, ModelSignature

LOADER = "fitgap_classifier"  # a module of this package, which must not be imported as a part of it
FILES = {  # beside these: requirements.txt, conda.yaml and python_env.yaml, with the packages for loading the model
    "MLmodel",  # MLflow's description, with the names of the classes
    "data/model.keras",  # the network, once, for Keras and for MLflow's Python function
    f"code/{LOADER}.py",  # the Python function: it checks the images, and names the classes
    "code/fitgap_decoding.py",  # a copy of fitgap/images/decoding.py, for picture files
}
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pandas", "pillow")


def log_model(run_id: str | None, build: Callable[[], "keras.Model"], classes: list[str]) -> StoreError | None:
    """Attach a network to a run, unless the run has one. Load it with `runs:/<run id>/<run name>`.

    If the store fails, write one line to standard error, unless its server is too old for models; return the failure.

    Parameters
    ----------
    run_id : as returned by `runs.log_result`. None (the store failed, with a warning) does nothing.
    build : function without arguments
        Returns the whole network, not compiled: from uint8 RGB images, (n, height, width, 3), to class probabilities.
        Called only if the run has no model yet.
    classes : names of the classes, in the order of the network's outputs
    """
    if run_id is None:
        return None
    try:
        with open_store() as opened:
            model = find_model(opened, run_id)
        if model is None:
            network = build()  # takes seconds; outside the lock, so other processes can use the store
            with open_store() as opened:
                _write(opened, run_id, network, classes)
    except StoreError as failure:
        if not failure.is_old_server:
            warn(f"run {run_id}: its model is not in MLflow", failure)
        return failure
    return None


def find_model(opened: Store, run_id: str) -> "LoggedModel | None":
    """Return the run's complete model, or None; delete models that killed processes left, or whose files are gone."""
    models = list(opened.client.search_logged_models([opened.experiment_id], f"source_run_id = '{run_id}'"))
    complete = [model for model in models if model.status == "READY" and is_stored(model.artifact_location)]
    for model in models:
        if model not in complete:
            opened.client.delete_logged_model(model.model_id)
    return complete[0] if complete else None


def is_stored(location: str) -> bool:
    """Return whether the files of a model are at a location (folder or address); loading it would take seconds."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(location)
    return {file.path for folder in (None, "data", "code") for file in repository.list_artifacts(folder)} >= FILES


def _write(opened: Store, run_id: str, network: "keras.Model", classes: list[str]) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    client, run = opened.client, opened.client.get_run(run_id)
    tags = {name: run.data.tags[name] for name in ("stage", "variant", "best_seed") if name in run.data.tags}
    model = client.create_logged_model(opened.experiment_id, run.info.run_name, run_id, tags=tags)
    description = Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id)
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder) / "model", description, network, classes)
        client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    _link_measurements(opened, run, model.model_id)
    client.finalize_logged_model(model.model_id, "READY")  # last, so that only complete models are READY


def _link_measurements(opened: Store, run: "Run", model_id: str) -> None:
    """Log to a model what was measured of its weights, those of the run's best seed, and on which data."""
    from mlflow.entities import Metric

    own = f"tags.`{PARENT}` = '{run.info.run_id}' and tags.seed = '{run.data.tags.get('best_seed')}'"
    for child in opened.client.search_runs([opened.experiment_id], own):
        data = next(each.dataset for each in child.inputs.dataset_inputs if each.tags[0].value == "data")
        about = {"model_id": model_id, "dataset_name": data.name, "dataset_digest": data.digest}
        values = {name: child.data.metrics[name] for name in HEADLINES if name in child.data.metrics}
        # The time of the child's own metrics, so that they are the same and not logged twice.
        metrics = [Metric(name, value, child.info.start_time, 0, **about) for name, value in values.items()]
        opened.client.log_batch(child.info.run_id, metrics)


def _save(folder: Path, description: "Model", network: "keras.Model", classes: list[str]) -> None:
    """Write a model's files into a new folder, and complete its description.

    `mlflow.pyfunc.load_model` then loads the Python function, and `mlflow.keras.load_model` the network.
    """
    import mlflow.keras
    from mlflow import pyfunc

    installed = {package.name.lower().replace("_", "-"): package.version for package in metadata.distributions()}
    requirements = [f"{name}=={installed[name]}" for name in PACKAGES if name in installed]  # MLflow adds itself
    (folder / "code").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name(f"{LOADER}.py"), folder / "code")
    shutil.copy(decoding.__file__, folder / "code" / "fitgap_decoding.py")
    mlflow.keras.save_model(
        network,
        str(folder),
        mlflow_model=description,
        signature=_signature(classes),
        pip_requirements=requirements,
        metadata={"classes": list(classes)},
    )
    # In place of MLflow's own function for Keras models. The environments are those that `save_model` has written.
    pyfunc.add_to_model(description, LOADER, code="code", conda_env="conda.yaml", python_env="python_env.yaml")
    description.save(folder / "MLmodel")


def _signature(classes: list[str]) -> "ModelSignature":
    """Return a signature that lets all arrays pass, so that the Python function can judge them.

    A uint8 tensor would be the natural input. But MLflow casts the numbers of a request to the signature's type: of
    images scaled to 0..1 it would leave zeros. `object` is the one type that it leaves alone.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    likeliest = [ColSpec(DataType.string, "class")] if "class" not in classes else []
    answer = Schema([*likeliest, *(ColSpec(DataType.float, name) for name in classes)])
    return ModelSignature(Schema([TensorSpec(np.dtype("object"), (-1,))]), answer)


def find_address(result: Result) -> str:
    """Return the address of the model that is attached to a result's run, for `mlflow.pyfunc.load_model`.

    Raises a UserError if there is none, or if the store does not answer.
    """
    try:
        with open_store() as opened:
            run_id = find_run(opened, result)
            model = find_model(opened, run_id) if run_id else None
    except StoreError as failure:
        raise UserError(f"MLflow's store failed: {failure}; start it, or unset MLFLOW_TRACKING_URI") from None
    if model is None:
        raise UserError(f"{result.name}: its model is not in MLflow; `make sync` writes it")
    return f"models:/{model.model_id}"


def models_to_attach(results: Iterable[Result]) -> list[Result]:
    """Return the results with models to attach: all from scratch, the best of each transfer family."""
    models, chosen = [result for result in results if result.record.stage in FAMILIES], []
    for name, family in FAMILIES.items():
        own = [model for model in models if model.is_model and model.record.stage == name]
        chosen += {"all": own, "best": filter(None, [best(own)]), "none": []}[family.attached]
    return chosen


def attach_models(
    results: Iterable[Result], run_ids: Mapping[str, str], params: Params, folder: Path, backbone: Path
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
            failure = log_model(run_ids[result.name], build, result.record.classes)
            if failure and failure.is_old_server:
                if len(run_ids) > 1:  # the report, which has all runs, says it for all stages
                    warn("no model is in MLflow", failure)
                return


def _load_network(result: Result, params: Params, folder: Path, backbone: Path):
    # Importing TensorFlow takes seconds, and is unnecessary if every run already has its network.
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly

    record = result.record
    weights = folder / record.stage / record.variant / weights_file(record.best_seed)
    return Assembly(params.data.image_size, len(record.classes), backbone).whole(model_as_trained(record), weights)
