"""Write folders atomically, and check free disk space.

The standard library replaces a file in one step, but not a folder; no package among the dependencies does.
"""

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
