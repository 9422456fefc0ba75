"""Where the runs go: the address of the tracking store, its SQLite database, and its experiment."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap.system import repository
from fitgap.system.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE, ARTIFACTS = "mlflow.db", "mlruns"  # in the repository
_NO_SERVER = re.compile(r"file:|[./~]|\w:|(postgresql|mysql|mssql)\b")  # folders, and databases


def tracking_uri() -> str:
    """Return the store's address: MLFLOW_TRACKING_URI, or mlflow.db in the repository.

    The path of a SQLite file is made absolute: a relative one would point into DVC's temporary copy.

    Raises a UserError if the address is a folder or a database without a server, or if the repository's folder has a
    name that MLflow cannot store.
    """
    address = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"sqlite:///{DATABASE}"
    if file := sqlite_file(address):
        repository.check_name(repository.root())
        scheme, _, options = address.partition(":///")
        return f"{scheme}:///{repository.root() / file}{''.join(options.partition('?')[1:])}"
    if _NO_SERVER.match(address):
        raise UserError(
            f"MLFLOW_TRACKING_URI: {redacted(address)!r} is a folder or a database, which share no files; allowed: "
            f"http://SERVER (docs/tracking.md), sqlite:///FILE; unset it to use {DATABASE} in the repository"
        )
    return address


def sqlite_file(address: str) -> Path | None:
    """Return the file of a SQLite address; None for a server."""
    return Path(address.partition(":///")[2].partition("?")[0]) if address.startswith("sqlite") else None


def create_database(path: Path) -> None:
    """Create a SQLite database under a temporary name, then rename it: a partial one would block MLflow."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    SqlAlchemyStore(f"sqlite:///{draft}", _artifacts()).engine.dispose()
    draft.replace(path)


def experiment_id(client: "MlflowClient", address: str) -> str:
    """Return MLFLOW_EXPERIMENT_ID, or the id of the experiment named MLFLOW_EXPERIMENT_NAME, created if missing.

    Raises a UserError if its files would go to the folder of another repository.
    """
    known_id = os.environ.get("MLFLOW_EXPERIMENT_ID", "").strip()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or "fitgap"
    experiment = client.get_experiment(known_id) if known_id else client.get_experiment_by_name(name)
    if experiment is not None:
        _check_place(Path(experiment.artifact_location), address)
        return experiment.experiment_id
    if sqlite_file(address) is None:
        return client.create_experiment(name)  # a server has its own artifact location
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # MLflow stores artifact locations as absolute paths, by default from the current folder. In a DVC experiment
    # that is a temporary copy of the repository.
    return SqlAlchemyStore(address, _artifacts()).create_experiment(name)


def _check_place(folder: Path, address: str) -> None:
    if not folder.is_absolute() or folder.resolve().is_relative_to(Path(_artifacts()).resolve()):
        return
    if sqlite_file(address) == repository.root() / DATABASE:
        raise UserError(
            f"{DATABASE}: its artifacts are in {folder.parent}, not in this repository's {ARTIFACTS}/ (moved or "
            f"copied?); `python -m fitgap.tracking.relocate` updates {DATABASE}"
        )
    if sqlite_file(address) and folder.parent.name == ARTIFACTS:
        raise UserError(
            f"MLFLOW_TRACKING_URI: the files of its experiment are in {folder.parent}, of another repository; name "
            "another experiment by MLFLOW_EXPERIMENT_NAME, or a server"
        )


def _artifacts() -> str:
    return str(repository.root() / ARTIFACTS)


def redacted(text: str) -> str:
    """Replace the user, password and token of every address in a text by ***."""
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    secret = r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\")]+"
    return re.sub(secret, r"\1***", text, flags=re.IGNORECASE)
