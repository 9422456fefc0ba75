"""Open the tracking store: MLFLOW_TRACKING_URI, or by default mlflow.db and mlruns/ beside params.yaml.

These are MLflow 3's own defaults, so a plain `mlflow ui` in the repository shows everything.
MLflow is imported lazily: the import takes 1.5 s, and only stages that write runs need it.
"""

import hashlib
import logging
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from fitgap.definitions import determinism
from fitgap.system import repository
from fitgap.system.errors import UserError
from fitgap.tracking.addresses import kind, tracking_uri
from fitgap.tracking.client import Client, Waiting
from fitgap.tracking.failures import GivenUpError, failures, is_outage

# MLflow's defaults are a timeout of 120 s and 7 retries per request. Here a request fails after 5 s + 5 s, and none
# starts after SERVER_TIMEOUT of waiting, so a hanging or slow server costs a stage less than half a minute.
REQUEST_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
NOTE = "mlflow.note.content"  # tag with the text that MLflow shows as a run's description
SERVER_TIMEOUT = 15  # seconds that a process waits for a server in all, unless TIMEOUT_VARIABLE says otherwise
TIMEOUT_VARIABLE = "FITGAP_TRACKING_TIMEOUT"
SQLITE_TIMEOUT = 60  # seconds; there is no server to fail, but others wait while the first run creates the database
_unavailable: set[str] = set()  # addresses of servers that failed earlier in this process
_waiting: dict[str, Waiting] = {}  # address of a server -> how long this process has waited for it


@dataclass(frozen=True)
class Store:
    """An open store, locked for this process.

    Attributes
    ----------
    client : Client
        MlflowClient's methods; each raises TimeoutError if the process has waited too long for the store.
    experiment_id : str
    writer : str
        Identifies this repository on this machine; the same for all its processes.
    waiting : Waiting
    """

    client: Client
    experiment_id: str
    writer: str
    waiting: Waiting

    def keep_time(self) -> None:
        """Raise TimeoutError if the process has waited too long for the store."""
        self.waiting.check()

    def link(self, text: str, run_id: str) -> str:
        """Return a Markdown link to a run, for MLflow's descriptions."""
        return f"[{text}](#/experiments/{self.experiment_id}/runs/{run_id})"


@contextmanager
def open_store(patience: Mapping[str, str] = REQUEST_LIMITS, waiting: Waiting | None = None) -> Iterator[Store]:
    """Open the store and lock it for this process; create the database and the experiment if they are missing.

    `failures.failures()` returns the exceptions to expect, here and while the store is open.

    Parameters
    ----------
    patience : MLflow's variables for a request
    waiting : time limit, by default the store's own; with another one, a failure does not count as the store's
    """
    address = tracking_uri()
    disable_telemetry()
    with ExitStack() as stack:
        if waiting is None:
            stack.enter_context(_fail_fast(address))
        stack.enter_context(determinism.pause_garbage_collection())
        from mlflow import MlflowClient

        from fitgap.tracking import database, migrations

        stack.enter_context(migrations.allow_percent_sign())
        waiting = waiting or waiting_for(address)
        stack.enter_context(default_environment(patience))
        # Parts of MLflow create their own client, which would use the current folder: DVC's temporary copy.
        stack.enter_context(environment_variable("MLFLOW_TRACKING_URI", address))
        stack.enter_context(silence_logging())
        # Two processes that create the same database at once make each other fail. Under the lock, any unfinished run
        # of this repository was left by a killed process.
        stack.enter_context(FileLock(_lock_file(), timeout=waiting.left))
        with waiting.count():
            database.prepare_database(address, repository.root())
        client = Client(MlflowClient(tracking_uri=address, registry_uri=address), waiting)
        yield Store(client, database.experiment_id(client, address, repository.root()), _writer_id(), waiting)


def waiting_for(address: str) -> Waiting:
    """Return the time limit of a store: for a server one for the whole process, which may open it dozens of times.

    Raises
    ------
    UserError
        If the variable is not a number.
    """
    if kind(address) == "sqlite":
        return Waiting(SQLITE_TIMEOUT)
    given = os.environ.get(TIMEOUT_VARIABLE) or SERVER_TIMEOUT
    try:
        return _waiting.setdefault(address, Waiting(float(given)))
    except ValueError:
        raise UserError(f"{TIMEOUT_VARIABLE}: {given!r}: write a number of seconds; unset it for 15") from None


@contextmanager
def _fail_fast(address: str) -> Iterator[None]:
    """Remember a failed server: `report` opens the store dozens of times and would wait and warn each time."""
    if address in _unavailable:
        raise GivenUpError(address)
    try:
        yield
    except failures() as failure:
        if kind(address) != "sqlite" and is_outage(failure):
            _unavailable.add(address)
        raise


def _writer_id() -> str:
    return hashlib.sha256(os.fsencode(f"{platform.node()}:{repository.root()}")).hexdigest()[:12]


def _lock_file() -> Path:
    if (repository.root() / ".dvc").is_dir():
        (repository.root() / ".dvc" / "tmp").mkdir(exist_ok=True)
        return repository.root() / ".dvc" / "tmp" / "fitgap-mlflow.lock"
    return Path(tempfile.gettempdir()) / f"fitgap-mlflow-{_writer_id()}.lock"


# Disable usage statistics, and hints, addresses (they may contain passwords) and progress bars on the terminal.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def disable_telemetry() -> None:
    """Set the variables that MLflow reads on import; variables set by the user are kept."""
    os.environ.update(_missing(_QUIET))


@contextmanager
def default_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside this context; variables set by the user are kept."""
    added = _missing(values)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set one environment variable inside this context, and restore its former value afterwards."""
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
    """Silence log messages (MLflow, Alembic, urllib3) inside this context; errors that matter are also raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
