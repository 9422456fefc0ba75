"""List the files of a folder as DVC does: links to files count, links to folders are not followed."""

import os
import stat
from pathlib import Path

from fitgap.system.errors import UserError


def list_tree(top: Path) -> tuple[list[str], list[str]]:
    """Return the files and the folders below `top`: relative paths with slashes, sorted.

    A link to a folder that encloses it is left out: it holds nothing new.

    Raises
    ------
    UserError
        If there is a link to another folder, whose files DVC does not hash, or a pipe or device, which DVC would wait
        for.
    OSError
        If a folder is not readable.
    """
    files: list[str] = []
    folders: list[str] = []
    for folder, inner, names in os.walk(top, onerror=_fail):
        at = Path(folder)
        inner[:] = [name for name in inner if _is_new(at / name)]
        for name in names:
            _check_file(at / name)
        folders += [(at / name).relative_to(top).as_posix() for name in inner]
        files += [(at / name).relative_to(top).as_posix() for name in names]
    return sorted(files), sorted(folders)


def _fail(error: OSError) -> None:
    raise error  # os.walk would leave the folder out


def _is_new(folder: Path) -> bool:
    """Return whether to visit a folder; raise a UserError if it is a link that leads elsewhere."""
    if not folder.is_symlink():
        return True
    if folder.resolve() in (here := folder.parent.resolve(), *here.parents) or folder.name.startswith("."):
        return False
    raise UserError(
        f"{folder}: a link to the folder {folder.resolve()}; DVC does not follow it and would not notice that pictures "
        "change; move or copy that folder here, or name that folder itself"
    )


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # a link that leads nowhere, for example
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a pipe, socket or device, which DVC cannot hash; delete it")
