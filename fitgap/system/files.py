"""Folders that are either whole or absent, and room on the disk."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fitgap.system.errors import UserError


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the name `path` only when everything went well.

    What stood at `path` is replaced. After a failure or a kill nothing that looks whole is left.
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
    """Raise a UserError where the disk that holds `folder`, or will, has less than `size` bytes left for `what`."""
    standing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(standing).free
    if size > free:
        raise UserError(
            f"{folder}: {what} need {size / 1e6:,.0f} MB of disk, and {free / 1e6:,.0f} MB are free; "
            "make room, or lower the number or the size of the images in params.yaml"
        )
