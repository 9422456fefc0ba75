"""Failures of the tracking store, and one-line warnings about them that reveal no password."""

import os
import re
import sys

from fitgap.system.errors import UserError

# Looked up only if the module is loaded; a module that is not loaded cannot have raised. MLflow wraps exceptions of
# its own requests, but not those of the cloud libraries that upload artifacts.
_LIBRARY_FAILURES = (
    ("mlflow.exceptions", "MlflowException"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("alembic.util.exc", "CommandError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("boto3.exceptions", "Boto3Error"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("azure.core.exceptions", "AzureError"),
)
_BREAKDOWNS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED")  # MLflow's codes
# MLflow passes on a violated unique key as BAD_REQUEST, with the text of SQLAlchemy's exception.
_CONFLICTS = re.compile(r"IntegrityError|UniqueViolation|UNIQUE constraint|Duplicate entry")


class GivenUpError(ConnectionError):
    """The server failed earlier in this process and was warned about, so it is not asked again."""


def failures() -> tuple[type[Exception], ...]:
    """Return the exception types that must not cost a result, for use in an `except` clause.

    OSError covers the network (requests, sockets), the file system, locks and timeouts. ModuleNotFoundError covers
    a missing database driver.
    """
    loaded = [getattr(sys.modules[name], kind) for name, kind in _LIBRARY_FAILURES if name in sys.modules]
    return (UserError, OSError, ModuleNotFoundError, *loaded)


def is_outage(failure: Exception) -> bool:
    """Return whether a server is unreachable, hangs or has an internal error. Rejecting a request is no outage."""
    code = getattr(failure, "error_code", None)  # MLflow's exceptions have one
    return isinstance(failure, OSError) if code is None else code in _BREAKDOWNS


def is_rejection(failure: Exception) -> bool:
    """Return whether the store works, but refused this request."""
    return getattr(failure, "error_code", None) is not None and not is_outage(failure)


def is_conflict(failure: Exception) -> bool:
    """Return whether another process created the same row of the store's database at the same moment."""
    return getattr(failure, "error_code", None) == "BAD_REQUEST" and bool(_CONFLICTS.search(str(failure)))


def warn(what: str, failure: Exception) -> None:
    """Write one line about a failure to standard error: what is missing, why, and that no result is lost.

    `GivenUpError` is not reported: the server's first failure already was.
    """
    if isinstance(failure, GivenUpError):
        return
    reason = redacted(" ".join(str(failure).split())) or type(failure).__name__
    reason = reason if len(reason) <= 300 else f"{reason[:297]}..."
    given = os.environ.get("MLFLOW_TRACKING_URI")
    place = f" (MLFLOW_TRACKING_URI={redacted(given)})" if given else ""
    way = "`make sync` or the report stage of the next `dvc repro` writes what is missing"
    print(f"fitgap: warning: {what}{place}: {reason}; the results are safe in results/, {way}", file=sys.stderr)


def redacted(text: str) -> str:
    """Replace the user, password and token of every address in a text by ***."""
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    secret = r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\")]+"
    return re.sub(secret, r"\1***", text, flags=re.IGNORECASE)
