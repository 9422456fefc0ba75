"""Locate the real repository: DVC runs queued and temporary experiments in a copy, which it deletes afterwards."""

import os
import shutil
from pathlib import Path

from fitgap.system.errors import UserError
from fitgap.system.files import fresh_folder


def root() -> Path:
    """Return the top folder of the real repository, even when a stage runs in a copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def check_name(folder: Path) -> None:
    """Raise a UserError if the path of a folder is not UTF-8, or has a sign in it that MLflow takes for another."""
    shown = os.fsencode(folder).decode(errors="backslashreplace")
    if shown != str(folder):
        raise UserError(f"{shown}: this folder's name is not UTF-8, which DVC cannot store; rename the folder")
    if set(shown) & set("%?"):
        raise UserError(f"{shown}: MLflow cannot work in a folder with % or ? in its path; rename the folder")


def check_outputs(folder: Path) -> None:
    """Raise a UserError if a folder of DVC's outputs is a link, which DVC refuses once the work is done."""
    for name in ("data", "models", "results", "reports"):
        if (folder / name).is_symlink():
            raise UserError(
                f"{folder / name}: a link, behind which DVC keeps no outputs; put a folder in its place; "
                "to use another disk, move the whole repository, or DVC's cache: `dvc cache dir --local FOLDER`"
            )


def copy_report(reports: Path) -> None:
    """Copy an experiment's report to experiments/NAME/ in the real repository; outside of one, do nothing."""
    name = os.environ.get("DVC_EXP_NAME")
    if name is None or root() == Path.cwd():
        return
    with fresh_folder(root() / "experiments" / name) as folder:
        shutil.copytree(reports, folder, dirs_exist_ok=True)
