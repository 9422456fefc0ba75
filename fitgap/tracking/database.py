"""Prepare a store for first use: create its database and experiment, and check for moved or outdated files."""

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fitgap.system.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "fitgap"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def prepare_database(uri: str, root: Path) -> None:
    """Create the SQLite database if missing, or check that the database server answers. Call this under a lock.

    Raises
    ------
    OSError
        If a database server does not answer within 5 s.
    """
    kind = _kind(uri)
    if kind == "sqlite":
        path = Path(uri.removeprefix("sqlite:///"))
        if not path.exists() or not path.stat().st_size:
            _create(path, root / "mlruns")
        if path == root / "mlflow.db":
            _warn_of_file_store(root)
    elif kind in _PORTS:
        # MLflow itself would retry ten times, with pauses of 100 s in all (create_sqlalchemy_engine_with_retry).
        server = urlsplit(uri)
        address = server.hostname or "localhost", server.port or _PORTS[kind]
        socket.create_connection(address, timeout=5).close()


def experiment_id(client: "MlflowClient", uri: str, root: Path) -> str:
    """Return the id of the experiment `fitgap`; create it if it is missing.

    Raises
    ------
    UserError
        If it was deleted, or its artifact folder belongs to the place this repository was moved or copied from.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return _create_experiment(client, uri, root)
    if found.lifecycle_stage == "deleted":
        way = f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
        raise UserError(f"MLflow's experiment {EXPERIMENT!r} is deleted; {way}")
    if uri == f"sqlite:///{root / 'mlflow.db'}":
        _check_place(found.artifact_location, root)
    return found.experiment_id


def artifact_folder(location: str) -> Path | None:
    """Return the local folder of an artifact location, or None if it is not on this machine."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file") and len(parts.scheme) > 1:  # one letter: a Windows drive
        return None
    return Path(unquote(parts.path) if parts.scheme == "file" else location)


def _kind(uri: str) -> str:
    return urlsplit(uri).scheme.split("+")[0]


def _create(path: Path, artifacts: Path) -> None:
    """Create a SQLite database under a temporary name, then rename it: a partial one would block MLflow."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    # MLflow stores artifact locations as absolute paths, by default from the current folder. In a DVC experiment
    # that is a temporary copy of the repository.
    fresh = SqlAlchemyStore(f"sqlite:///{draft}", str(artifacts))
    fresh.create_experiment(EXPERIMENT)
    fresh.engine.dispose()
    draft.replace(path)


def _create_experiment(client: "MlflowClient", uri: str, root: Path) -> str:
    if _kind(uri) not in ("sqlite", *_PORTS):
        return client.create_experiment(EXPERIMENT)  # a server has its own artifact location
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    return SqlAlchemyStore(uri, str(root / "mlruns")).create_experiment(EXPERIMENT)


def _check_place(location: str, root: Path) -> None:
    folder = artifact_folder(location)
    if folder is not None and not folder.resolve().is_relative_to(root / "mlruns"):
        raise UserError(
            f"mlflow.db: its artifacts are in {folder.parent}, not in this repository's mlruns/ (moved or "
            "copied?); `python -m fitgap.tracking.relocate` updates mlflow.db"
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
