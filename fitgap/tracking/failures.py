"""What may go wrong between here and a tracking store, told in one line that betrays no password."""

import os
import re
import sys

from fitgap.system.errors import UserError

# Looked up only where the module is loaded: what is not loaded cannot have raised. MLflow wraps what its own
# requests raise; artifacts go to cloud stores through their makers' libraries, unwrapped.
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


class GivenUpError(ConnectionError):
    """A server is not asked again: this process has waited for it before, and told so."""


def failures() -> tuple[type[Exception], ...]:
    """Give every kind of failure that must not cost a result, for use in an `except` clause.

    OSError holds the network's (requests', sockets'), the file system's, a lock's and a time limit's;
    ModuleNotFoundError is a database driver that is not installed.
    """
    loaded = [getattr(sys.modules[name], kind) for name, kind in _LIBRARY_FAILURES if name in sys.modules]
    return (UserError, OSError, ModuleNotFoundError, *loaded)


def is_outage(failure: Exception) -> bool:
    """Whether a server is away, hangs or breaks down. One that says no to a request is there."""
    code = getattr(failure, "error_code", None)  # MLflow's exceptions have one
    return isinstance(failure, OSError) if code is None else code in _BREAKDOWNS


def warn(what: str, failure: Exception) -> None:
    """Print one line about a failure to standard error: what is missing, why, and that nothing is lost.

    A server that was given up is silent: the line about its first failure stands for all.
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
    """Hide the user, password and token of every address in a text."""
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    secret = r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\")]+"
    return re.sub(secret, r"\1***", text, flags=re.IGNORECASE)
