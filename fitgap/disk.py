"""Is there room? Asked before long work starts."""

import shutil
from pathlib import Path

from fitgap.errors import UserError


def require(folder: Path, size: int, what: str) -> None:
    """Raise a UserError where the disk that holds `folder`, or will, has less than `size` bytes left for `what`."""
    standing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(standing).free
    if size > free:
        raise UserError(
            f"{folder}: {what} need {size / 1e6:,.0f} MB of disk, and {free / 1e6:,.0f} MB are free; "
            "make room, or lower the number or the size of the images in params.yaml"
        )
