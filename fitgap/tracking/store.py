"""Open the tracking store: MLFLOW_TRACKING_URI, or by default mlflow.db and mlruns/ beside params.yaml.

These are MLflow 3's own defaults, so a plain `mlflow ui` in the repository shows everything.
MLflow is imported lazily: the import takes 1.5 s, and only stages that write runs need it.
"""

import hashlib
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from fitgap.definitions import determinism
from fitgap.system import repository
from fitgap.tracking.addresses import create_database, experiment_id, redacted, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.note.content"  # tag with the text that MLflow shows as a run's description
PATIENCE = 60  # seconds to wait for other processes, of which the first creates the database
VARIABLES = {
    # MLflow's defaults are 120 s and 7 retries. Here a server that hangs costs 22 s. It may need some to store 59 MB.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    # No usage statistics, and no hints, addresses (they may contain passwords) and progress bars on the terminal.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_BREAKDOWNS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED")  # MLflow's codes
_REFUSED = re.compile(r"\b(4\d\d) (?:Client Error|!= 200)")  # of requests, and of MLflow's client
_given_up = False  # whether the store has failed in this process


class StoreError(Exception):
    """The store failed. The message is one line and shows no password."""

    def __init__(self, cause: Exception):
        reason = re.sub(r"<[^>]*>", " ", str(cause))  # a proxy answers in HTML
        reason = redacted(" ".join(reason.split())) or type(cause).__name__
        refused = _REFUSED.search(reason)
        self.is_old_server = refused is not None and refused[1] == "404" and "/logged-models" in reason
        reason = "models need a server of MLflow 3" if self.is_old_server else reason
        super().__init__(reason if len(reason) <= 300 else f"{reason[:297]}...")
        # Whether the store works, but refused this request: MLflow's exceptions have a code, a proxy's answer has not.
        self.is_rejection = bool(refused) or getattr(cause, "error_code", _BREAKDOWNS[0]) not in _BREAKDOWNS


class GivenUpError(StoreError):
    """The store failed earlier in this process, which has said so, and is not asked again."""


@dataclass(frozen=True)
class Store:
    """An open store, locked for this process."""

    client: "MlflowClient"
    experiment_id: str
    writer: str  # identifies this repository on this machine; the same for all its processes

    def link(self, text: str, run_id: str) -> str:
        """Return a Markdown link to a run, for MLflow's descriptions."""
        return f"[{text}](#/experiments/{self.experiment_id}/runs/{run_id})"


@contextmanager
def open_store(patience: float | None = None) -> Iterator[Store]:
    """Open the store and lock it for this process; create the database and the experiment if they are missing.

    A failure ends the use of the store in this process, unless it is a rejection, or `patience` is given.

    `patience` is how many seconds to wait for other processes that use the store.

    Raises a StoreError if anything fails, here or inside the context.
    """
    global _given_up
    if _given_up:
        raise GivenUpError(ConnectionError())
    try:
        with _open(PATIENCE if patience is None else patience) as opened:
            yield opened
    except Exception as cause:  # of MLflow, SQLAlchemy, the network, a cloud's library: none may cost a result
        failure = StoreError(cause)
        _given_up = patience is None and not failure.is_rejection
        raise failure from cause


def warn(what: str, failure: StoreError) -> None:
    """Write one line about a failure to standard error: what is missing, why, and that no result is lost."""
    if isinstance(failure, GivenUpError):
        return
    place = redacted(os.environ.get("MLFLOW_TRACKING_URI", "MLflow"))
    way = "`make sync` or the report stage of the next `dvc repro` writes what is missing"
    print(f"fitgap: warning: {what} ({place}): {failure}; the results are safe in results/, {way}", file=sys.stderr)


@contextmanager
def _open(patience: float) -> Iterator[Store]:
    address, root = tracking_uri(), repository.root()
    file, locks = sqlite_file(address), root / ".dvc" / "tmp"
    set_variables()
    # Parts of MLflow create their own client, which would use the current folder: DVC's temporary copy.
    os.environ["MLFLOW_TRACKING_URI"] = address
    with ExitStack() as stack:
        stack.enter_context(determinism.without_garbage_collection())
        from mlflow import MlflowClient

        # Log messages (MLflow, Alembic, urllib3) are silenced; errors that matter are also raised.
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.ERROR)
        # Two processes that create the same database at once make each other fail. Under the lock, any unfinished run
        # of this repository was left by a killed process.
        locks.mkdir(parents=True, exist_ok=True)
        stack.enter_context(FileLock(locks / "fitgap-mlflow.lock", timeout=patience))
        if file and not file.exists():
            create_database(file)
        client = MlflowClient(tracking_uri=address, registry_uri=address)
        writer = hashlib.sha256(f"{platform.node()}:{root}".encode()).hexdigest()[:12]
        yield Store(client, experiment_id(client, address), writer)


def set_variables() -> None:
    """Set the variables that MLflow reads, in part on import; variables set by the user are kept."""
    os.environ.update({name: value for name, value in VARIABLES.items() if name not in os.environ})
