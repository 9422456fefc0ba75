"""The real repository: DVC runs queued and temporary experiments in a copy of it, which vanishes afterwards."""

import os
import shutil
from pathlib import Path

from fitgap.folders import fresh


def root() -> Path:
    """Give the real repository's top folder, also where a stage runs in a copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def experiment() -> str | None:
    """Name the DVC experiment whose stages run in a copy; None in the repository itself."""
    return None if root() == Path.cwd() else os.environ.get("DVC_EXP_NAME")


def keep_report(reports: Path) -> None:
    """Leave a copy's report in the real repository, as experiments/<name of the experiment>/."""
    if experiment() is None:
        return
    with fresh(root() / "experiments" / experiment()) as folder:
        shutil.copytree(reports, folder, dirs_exist_ok=True)
