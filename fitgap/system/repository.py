"""The real repository: DVC runs queued and temporary experiments in a copy of it, which vanishes afterwards."""

import os
import shutil
from pathlib import Path

from fitgap.system.files import fresh_folder


def root() -> Path:
    """Give the real repository's top folder, also where a stage runs in a copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def experiment_name() -> str | None:
    """Name the DVC experiment whose stages run in a copy; None in the repository itself."""
    return None if root() == Path.cwd() else os.environ.get("DVC_EXP_NAME")


def copy_report(reports: Path) -> None:
    """Leave a copy's report in the real repository, as experiments/<name of the experiment>/."""
    if experiment_name() is None:
        return
    with fresh_folder(root() / "experiments" / experiment_name()) as folder:
        shutil.copytree(reports, folder, dirs_exist_ok=True)
