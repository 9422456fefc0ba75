"""Locate the real repository: DVC runs queued and temporary experiments in a copy, which it deletes afterwards."""

import os
import shutil
from pathlib import Path

from fitgap.system.files import fresh_folder


def root() -> Path:
    """Return the top folder of the real repository, even when a stage runs in a copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def misnamed(folder: Path) -> str | None:
    """Return how to show the path of a folder if it is not UTF-8, which DVC and MLflow cannot store; None if it is."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:  # Python holds bytes that are not UTF-8 as surrogates
        return os.fsencode(folder).decode(errors="backslashreplace")
    return None


def experiment_name() -> str | None:
    """Return the name of the DVC experiment that runs in a copy; None in the repository itself."""
    return None if root() == Path.cwd() else os.environ.get("DVC_EXP_NAME")


def copy_report(reports: Path) -> None:
    """Copy an experiment's report to experiments/<experiment name>/ in the real repository.

    Outside a DVC experiment this does nothing.
    """
    if experiment_name() is None:
        return
    with fresh_folder(root() / "experiments" / experiment_name()) as folder:
        shutil.copytree(reports, folder, dirs_exist_ok=True)
