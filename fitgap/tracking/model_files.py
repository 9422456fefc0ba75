"""The files of a model in MLflow: save a network as such files, and check that a store still has them all.

MLmodel                     MLflow's description, with the names of the classes
data/model.keras            the network, once, for Keras and for MLflow's Python function
code/fitgap_classifier.py   the Python function: it checks the images, and names the classes
code/fitgap_decoding.py     a copy of fitgap/images/decoding.py, for picture files
requirements.txt            the packages for loading the model; also in conda.yaml and python_env.yaml
"""

import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import yaml

from fitgap.images import decoding

if TYPE_CHECKING:
    import keras
    from mlflow.models import Model, ModelSignature
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

LOADER = "fitgap_classifier"  # a module of this package, which must not be imported as a part of it
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pandas", "pillow")


def check(network: "keras.Model", classes: list[str]) -> None:
    """Raise ValueError unless a network maps uint8 RGB images to one probability per class."""
    (images,) = network.inputs
    if images.dtype != "uint8" or len(images.shape) != 4 or images.shape[-1] != 3:
        raise ValueError(f"images: {images.dtype} {images.shape}; a model takes uint8 (n, height, width, 3)")
    if network.output_shape[-1] != len(classes):
        raise ValueError(f"classes: {len(classes)} names for {network.output_shape[-1]} outputs")


def save(folder: Path, about: "Model", network: "keras.Model", classes: list[str]) -> None:
    """Write a model's files into a new folder, without the optimizer's state.

    `mlflow.pyfunc.load_model` then loads the Python function, and `mlflow.keras.load_model` the network.

    Parameters
    ----------
    about : MLflow's description of the model; completed here
    network : as `check` demands
    classes : names of the classes, in the order of the outputs
    """
    import mlflow.keras
    from mlflow import pyfunc

    (folder / "code").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name(f"{LOADER}.py"), folder / "code")
    shutil.copy(decoding.__file__, folder / "code" / "fitgap_decoding.py")
    mlflow.keras.save_model(
        _without_optimizer(network),
        str(folder),
        mlflow_model=about,
        signature=_signature(classes),
        pip_requirements=requirements(),
        metadata={"classes": list(classes)},
    )
    # In place of MLflow's own function for Keras models. The environments are those that `save_model` has written.
    pyfunc.add_to_model(about, LOADER, code="code", conda_env="conda.yaml", python_env="python_env.yaml")
    about.save(folder / "MLmodel")


def requirements() -> list[str]:
    """Return the pip requirements for loading a model, in the installed versions. MLflow adds itself."""
    versions = {name: _version(name) for name in PACKAGES}
    return [f"{name}=={version}" for name, version in versions.items() if version]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _signature(classes: list[str]) -> "ModelSignature":
    """Return a signature that lets all arrays pass, so that the Python function can judge them.

    A uint8 tensor would be the natural input. But MLflow casts the numbers of a request to the signature's type: of
    images scaled to 0..1 it would leave zeros. `object` is the one type that it leaves alone.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    probabilities = [ColSpec(DataType.float, name) for name in classes]
    return ModelSignature(Schema([TensorSpec(np.dtype("object"), (-1,))]), Schema(probabilities))


def _without_optimizer(network: "keras.Model") -> "keras.Model":
    """Return the network without its optimizer's state, which would triple the file size."""
    if getattr(network, "optimizer", None) is None:
        return network
    bare = type(network).from_config(network.get_config())  # clone_model would compile the copy as well
    bare.set_weights(network.get_weights())
    return bare


def are_stored(location: str) -> bool:
    """Return whether a store has all files that `mlflow.pyfunc.load_model` needs; loading itself takes seconds.

    A file cut short is noticed if more is missing than MLmodel and the lists of packages make up: a few thousand bytes.

    Parameters
    ----------
    location : folder or address of the model's artifacts

    Raises
    ------
    Exception
        If the store does not answer: one of `failures.failures()`.
    """
    from mlflow import pyfunc
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(location)
    sizes = dict(_list_files(repository, None))
    if not sizes.get("MLmodel"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            about = Model.load(repository.download_artifacts("MLmodel", folder))
        except (yaml.YAMLError, AttributeError, TypeError, ValueError):
            return False  # not MLflow's description: cut short, or overwritten
    return pyfunc.FLAVOR_NAME in about.flavors and _has_all(about, sizes)


def _has_all(about: "Model", sizes: dict[str, int]) -> bool:
    """Return whether all that the description names is there, in the size that it gives for the whole model."""
    named = {flavor.get(key) for flavor in about.flavors.values() for key in ("data", "code")} - {None}
    are_there = all(any(PurePosixPath(path).is_relative_to(name) for path in sizes) for name in named)
    return are_there and sum(sizes.values()) >= (about.model_size_bytes or 0)


def _list_files(repository: "ArtifactRepository", folder: str | None) -> Iterator[tuple[str, int]]:
    for found in repository.list_artifacts(folder):
        if found.is_dir:
            yield from _list_files(repository, found.path)
        else:
            yield found.path, found.file_size or 0
