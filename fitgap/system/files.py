"""Folders: write one atomically, list its files as DVC does, and check the free disk space.

The standard library replaces a file in one step, but not a folder; no package among the dependencies does.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fitgap.system.errors import UserError


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; rename it to `path` if the block succeeds.

    An existing folder at `path` is replaced. After a failure or a kill, no incomplete folder has the name `path`.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if path.exists():
        shutil.rmtree(path)
    partial.rename(path)


def require_space(folder: Path, size: int, what: str) -> None:
    """Raise a UserError if the disk of `folder`, which may not exist yet, has under `size` bytes free for `what`."""
    standing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(standing).free
    if size > free:
        raise UserError(
            f"{folder}: {what} need {size / 1e6:,.0f} MB of disk, and {free / 1e6:,.0f} MB are free; "
            "make room, or lower the number or the size of the images in params.yaml"
        )


def list_tree(top: Path) -> tuple[list[str], list[str]]:
    """Return the files and the folders below `top`: relative paths with slashes, sorted.

    As for DVC, links to files count and links to folders are not followed. A link to a folder that encloses it is left
    out: it holds nothing new.

    Raises a UserError if there is a link to another folder, whose files DVC does not hash, or if a name is not UTF-8;
    an OSError if a folder is not readable.
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
