"""What stands around MLflow while it works: its variables and its log lines."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# No usage statistics; no advice, addresses (with passwords, if they have some) or progress bars on the terminal.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def switch_telemetry_off() -> None:
    """Set what MLflow reads when it is imported; a variable that the user has set stays."""
    os.environ.update(_missing(_QUIET))


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a while; a variable that the user has set stays."""
    added = _missing(values)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def replaced(name: str, value: str) -> Iterator[None]:
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
def logging_silenced() -> Iterator[None]:
    """Keep MLflow's, Alembic's and urllib3's own lines off the terminal; what matters is raised as well."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
