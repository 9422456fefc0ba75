"""Read the pictures that a user names: files, folders and archives, decoded as stage `prepare` decodes them."""

import dataclasses
import itertools
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fitgap.images import archives
from fitgap.images.decoding import ENDINGS, has_picture_ending
from fitgap.images.decoding_pool import decode_entries
from fitgap.images.file_trees import BROKEN, FileEntry, UnreadableError
from fitgap.images.sources.collection import Picture
from fitgap.images.sources.directory import is_ignored
from fitgap.system.errors import UserError

UNLABELLED = -1


def read_pictures(paths: Iterable[Path | str], image_size: int) -> Generator[Picture, None, None]:
    """Yield the pictures one by one, without labels; threads decode them, in advance.

    A file is read whatever its name. Of a folder, a .zip or a .tar, at any depth, the files with a picture's ending are
    read; hidden files are not. A path or file that cannot be used yields a picture without pixels, with the reason.

    Parameters
    ----------
    image_size : side of the square that pictures are resized to, in pixels
    """
    return decode_entries(_all_entries(map(Path, paths)), image_size, _finish)


def _finish(name: str, pixels: np.ndarray | None, reason: str) -> Picture:
    return Picture(name, UNLABELLED, pixels, reason=reason)


def _all_entries(paths: Iterable[Path]) -> Iterator[FileEntry]:
    """Yield the files of all paths; a path that cannot be used is a file that cannot be read."""
    for path in paths:
        try:
            yield from _entries(path)
        except (UserError, *BROKEN) as error:
            reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
            yield FileEntry(str(path), 0, partial(_fail, reason))


def _fail(reason: str) -> bytes:
    raise UnreadableError(reason)


def _entries(path: Path) -> Iterator[FileEntry]:
    if not path.exists():
        raise UserError("not found; a picture, or a folder, a .zip or a .tar of pictures")
    if not path.is_dir() and not path.is_file():  # to open a pipe could take for ever
        raise UserError("neither a file nor a folder")
    if path.is_dir() or (not has_picture_ending(path.name) and archives.is_archive(path)):
        yield from _inside(path)
    else:
        yield archives.file_entry(path, str(path))


def _inside(path: Path) -> Iterator[FileEntry]:
    tree = archives.read_tree(path, str(path))
    names = {name for name in tree.files if has_picture_ending(name) and not is_ignored(name)}
    if not names:
        raise UserError(f"holds no picture; files that are read end in {', '.join(itertools.chain(*ENDINGS.values()))}")
    for entry in tree.entries(names):
        yield dataclasses.replace(entry, name=f"{path}/{entry.name}")
