"""The tracking store: MLFLOW_TRACKING_URI, or else mlflow.db and mlruns/ beside params.yaml.

The latter is MLflow 3's own default pair, so that a bare `mlflow ui` in the repository shows everything.
MLflow is imported late: it takes 1.5 s, which only a stage that writes runs should pay.
"""

import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from fitgap.system import determinism, repository
from fitgap.system.errors import UserError
from fitgap.tracking.failures import GivenUpError, failures, is_outage, redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

import logging

# MLflow itself would wait 120 s and try 7 times again, per request. Here a request fails after 5 s + 5 s,
# and none is begun after SECONDS: a server that hangs or crawls costs a stage less than half a minute.
REQUEST_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
SERVER_TIMEOUT = 15
SQLITE_TIMEOUT = 60  # no server that could be away; the first run sets up the database, others wait for it
_unavailable: set[str] = set()  # addresses of servers that have failed this process


@dataclass(frozen=True)
class Store:
    """A store that is open for this process alone.

    Attributes
    ----------
    client : MlflowClient
    experiment_id : str
    writer : str
        Stands for this repository on this machine; the same for all its processes.
    deadline : float
        Of `time.monotonic()`: when to give up on a store that answers, but too slowly.
    """

    client: "MlflowClient"
    experiment_id: str
    writer: str
    deadline: float

    def keep_time(self) -> None:
        """Raise TimeoutError where the time for this store is used up."""
        if time.monotonic() > self.deadline:
            raise TimeoutError("the tracking store answers too slowly")

    def link(self, text: str, run_id: str) -> str:
        """Give a link to a run, in Markdown, for MLflow's descriptions."""
        return f"[{text}](#/experiments/{self.experiment_id}/runs/{run_id})"


def tracking_uri() -> str:
    """Give the store's address: MLFLOW_TRACKING_URI, or mlflow.db in the repository.

    Raises
    ------
    UserError
        The address is a folder; MLflow 3 refuses to keep runs in one.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or "sqlite:///mlflow.db"
    if given.startswith("sqlite:///"):  # a relative file would be lost with a copy that DVC made for a stage
        return f"sqlite:///{repository.root() / given.removeprefix('sqlite:///')}"
    scheme = urlsplit(given).scheme
    if (scheme == "file" or len(scheme) < 2) and given != "databricks" and not _folders_allowed():
        raise UserError(
            f"MLFLOW_TRACKING_URI: {redacted(given)!r} is a folder, where MLflow 3 keeps no runs; allowed: "
            "sqlite:///FILE, http://SERVER, a database's address; unset it to use mlflow.db in the repository"
        )
    return given


def _folders_allowed() -> bool:
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")


@contextmanager
def open_store(patience: Mapping[str, str] = REQUEST_LIMITS) -> Iterator[Store]:
    """Open the store for this process alone; create the database and the experiment where they are missing.

    What can go wrong, here and while the store is open, is what `failures.failures()` gives.
    """
    address = tracking_uri()
    disable_telemetry()
    with _fail_fast(address), ExitStack() as stack:
        stack.enter_context(determinism.pause_garbage_collection())
        from mlflow import MlflowClient

        from fitgap.tracking import database

        seconds = SQLITE_TIMEOUT if address.startswith("sqlite") else SERVER_TIMEOUT
        deadline = time.monotonic() + seconds
        stack.enter_context(default_environment(patience))
        # Parts of MLflow ask a client of their own, which would look into the current folder: a copy that vanishes.
        stack.enter_context(environment_variable("MLFLOW_TRACKING_URI", address))
        stack.enter_context(silence_logging())
        # Two processes that set up one database break each other. And with the lock held, a run of this
        # repository that is not finished was left by a process that died.
        stack.enter_context(FileLock(_lock_file(), timeout=seconds))
        database.prepare_database(address, repository.root())
        client = MlflowClient(tracking_uri=address, registry_uri=address)
        yield Store(client, database.experiment_id(client, address, repository.root()), _writer_id(), deadline)


@contextmanager
def _fail_fast(address: str) -> Iterator[None]:
    """Remember a server that fails: `report` opens the store dozens of times, and would wait and warn each time."""
    if address in _unavailable:
        raise GivenUpError(address)
    try:
        yield
    except failures() as failure:
        if not address.startswith("sqlite") and is_outage(failure):
            _unavailable.add(address)
        raise


def _writer_id() -> str:
    return hashlib.sha256(f"{platform.node()}:{repository.root()}".encode()).hexdigest()[:12]


def _lock_file() -> Path:
    if (repository.root() / ".dvc").is_dir():
        (repository.root() / ".dvc" / "tmp").mkdir(exist_ok=True)
        return repository.root() / ".dvc" / "tmp" / "fitgap-mlflow.lock"
    return Path(tempfile.gettempdir()) / f"fitgap-mlflow-{_writer_id()}.lock"


# No usage statistics; no advice, addresses (with passwords, if they have some) or progress bars on the terminal.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def disable_telemetry() -> None:
    """Set what MLflow reads when it is imported; a variable that the user has set stays."""
    os.environ.update(_missing(_QUIET))


@contextmanager
def default_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a while; a variable that the user has set stays."""
    added = _missing(values)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set one variable for a while, whatever it was before."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        os.environ.update({} if before is None else {name: before})


def _missing(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in os.environ}


@contextmanager
def silence_logging() -> Iterator[None]:
    """Keep MLflow's, Alembic's and urllib3's own lines off the terminal; what matters is raised as well."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
