"""Check that DVC sees the user's files, so that it reruns a stage when they change."""

import os
from collections.abc import Iterable
from pathlib import Path

from fitgap.system.errors import UserError


def check_watched(folder: Path, names: Iterable[str]) -> None:
    """Check that DVC hashes these files of a folder. Outside of a DVC repository there is nothing to check.

    Parameters
    ----------
    names : paths relative to `folder`, with slashes

    Raises
    ------
    UserError
        If DVC leaves out a file.
    """
    from dvc.exceptions import NotDvcRepoError  # its import takes a while
    from dvc.repo import Repo

    top = Path(os.path.normpath(Path.cwd() / folder))  # links are not resolved: DVC does not either
    try:
        with Repo() as repo:
            seen = {Path(path) for path in repo.dvcignore.find(repo.fs, str(top))}
    except NotDvcRepoError:
        return
    unseen = sorted(name for name in names if top / name not in seen)
    if unseen:
        raise UserError(
            f"{folder / unseen[0]}: DVC does not see this file and would not notice that it changes ({len(unseen)} "
            "such files): .dvcignore leaves it out, or a folder above it is a DVC repository of its own; change "
            ".dvcignore, or move the folder"
        )
