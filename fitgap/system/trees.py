"""List the files of a folder as DVC does: links to files count, links to folders are not followed."""

import os
from pathlib import Path

from fitgap.system.errors import UserError


def list_tree(top: Path) -> tuple[list[str], list[str]]:
    """Return the files and the folders below `top`: relative paths with slashes, sorted.

    A link to a folder that encloses it is left out: it holds nothing new.

    Raises
    ------
    UserError
        If there is a link to another folder, whose files DVC does not hash, or if a name is not UTF-8.
    OSError
        If a folder is not readable.
    """
    files: list[str] = []
    folders: list[str] = []
    for folder, inner, names in os.walk(top, onerror=_fail):
        at = Path(folder)
        inner[:] = [name for name in inner if _is_new(at / name)]
        folders += [(at / name).relative_to(top).as_posix() for name in inner]
        files += [(at / name).relative_to(top).as_posix() for name in names]
    for name in (*folders, *files):
        if name.encode(errors="replace").decode() != name:  # Python holds bytes that are not UTF-8 as surrogates
            raise UserError(f"{top}: the name {name!a} is not UTF-8; rename it")
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
