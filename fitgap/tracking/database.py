"""Prepare a store for first use: create its database and experiment, and check for moved or outdated files."""

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fitgap.system.errors import UserError
from fitgap.tracking.addresses import (
    DATABASE,
    PORTS,
    artifact_folder,
    artifact_location,
    kind,
    sqlite_file,
    sqlite_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

EXPERIMENT = "fitgap"
_UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's codes for an id that it does not have


def experiment_name() -> str:
    """Return the experiment's name: MLFLOW_EXPERIMENT_NAME, or `fitgap`."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or EXPERIMENT


def prepare_database(uri: str, root: Path) -> None:
    """Create the SQLite database if missing, or check that the database server answers. Call this under a lock.

    Raises
    ------
    OSError
        If a database server does not answer within 5 s.
    """
    if kind(uri) == "sqlite":
        path = sqlite_file(uri)
        if not path.exists() or not path.stat().st_size:
            _create(path, root / "mlruns")
        if path == root / DATABASE:
            _warn_of_file_store(root)
    elif kind(uri) in PORTS:
        # MLflow itself would retry ten times, with pauses of 100 s in all (create_sqlalchemy_engine_with_retry).
        server = urlsplit(uri)
        address = server.hostname or "localhost", server.port or PORTS[kind(uri)]
        socket.create_connection(address, timeout=5).close()


def experiment_id(client: "MlflowClient", uri: str, root: Path) -> str:
    """Return the id of the experiment: MLFLOW_EXPERIMENT_ID, or the one named `experiment_name()`, created if missing.

    Raises
    ------
    UserError
        If there is no experiment of that id, if it was deleted, or if its artifact folder belongs to another place.
    """
    found = _find_experiment(client)
    if found is None:
        return _create_experiment(client, uri, root)
    if found.lifecycle_stage == "deleted":
        way = f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
        raise UserError(f"MLflow's experiment {found.name!r} is deleted; {way}")
    _check_place(found.artifact_location, uri, root)
    return found.experiment_id


def _find_experiment(client: "MlflowClient") -> "Experiment | None":
    given = os.environ.get("MLFLOW_EXPERIMENT_ID", "").strip()
    if not given:
        return client.get_experiment_by_name(experiment_name())
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_experiment(given)
    except MlflowException as failure:
        if failure.error_code not in _UNKNOWN:
            raise
        raise UserError(
            f"MLFLOW_EXPERIMENT_ID: {given!r}: no such experiment; unset it to use {EXPERIMENT!r}"
        ) from None
    if os.environ.get("MLFLOW_EXPERIMENT_NAME") and found.name != experiment_name():
        raise UserError(
            f"MLFLOW_EXPERIMENT_ID: {given!r} is the experiment {found.name!r}, and MLFLOW_EXPERIMENT_NAME says "
            f"{experiment_name()!r}; unset one of them"
        )
    return found


def _create(path: Path, artifacts: Path) -> None:
    """Create a SQLite database under a temporary name, then rename it: a partial one would block MLflow."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    # MLflow stores artifact locations as absolute paths, by default from the current folder. In a DVC experiment
    # that is a temporary copy of the repository.
    fresh = SqlAlchemyStore(sqlite_uri(draft), artifact_location(artifacts))
    fresh.create_experiment(experiment_name())
    fresh.engine.dispose()
    draft.replace(path)


def _create_experiment(client: "MlflowClient", uri: str, root: Path) -> str:
    """Create the experiment, or find the one that another process has created meanwhile."""
    from mlflow.exceptions import MlflowException

    try:
        if kind(uri) not in ("sqlite", *PORTS):
            return client.create_experiment(experiment_name())  # a server has its own artifact location
        return _create_beside_repository(uri, root)
    except MlflowException as failure:
        found = client.get_experiment_by_name(experiment_name())
        if failure.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
            raise
        _check_place(found.artifact_location, uri, root)
        return found.experiment_id


def _create_beside_repository(uri: str, root: Path) -> str:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made = SqlAlchemyStore(uri, artifact_location(root / "mlruns")).create_experiment(experiment_name())
    if kind(uri) in PORTS:
        print(
            "fitgap: warning: MLFLOW_TRACKING_URI is a database without a server: the files of its runs stay in this "
            "repository's mlruns/, where colleagues cannot open them; `mlflow server` shares both (docs/tracking.md)",
            file=sys.stderr,
        )
    return made


def _check_place(location: str, uri: str, root: Path) -> None:
    """Raise a UserError if the experiment's files would go to the folder of another repository."""
    folder = artifact_folder(location)
    if folder is None or folder.resolve().is_relative_to(root / "mlruns"):
        return
    if kind(uri) == "sqlite" and sqlite_file(uri) == root / DATABASE:
        raise UserError(
            f"mlflow.db: its artifacts are in {folder.parent}, not in this repository's mlruns/ (moved or "
            "copied?); `python -m fitgap.tracking.relocate` updates mlflow.db"
        )
    if kind(uri) in PORTS and folder.parent.name == "mlruns":
        raise UserError(
            f"MLFLOW_TRACKING_URI: the files of the experiment's runs go to {folder.parent}, the folder of another "
            "repository, as a database without a server shares none; use `mlflow server` (docs/tracking.md), or set "
            "MLFLOW_EXPERIMENT_NAME to an experiment of your own"
        )


def _warn_of_file_store(root: Path) -> None:
    old = next((p for p in sorted(root.glob("mlruns/*/meta.yaml")) if p.parent.name.isdigit()), None)
    if old is not None:
        place = old.relative_to(root).as_posix()
        print(
            f"fitgap: warning: {place} is left from MLflow's old file store; a bare `mlflow ui` refuses it: "
            "move that file away, or run `mlflow ui --backend-store-uri sqlite:///mlflow.db`",
            file=sys.stderr,
        )
