"""Read the pictures that a user names: files, folders and archives, decoded as stage `prepare` decodes them."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from fitgap.images import archives
from fitgap.images.decoding import ENDINGS, UnusableError, decode, has_picture_ending
from fitgap.images.file_trees import BROKEN, FileEntry, UnreadableError
from fitgap.images.sources.collection import Picture
from fitgap.images.sources.directory import is_ignored
from fitgap.system.errors import UserError

UNLABELLED = -1


def read_pictures(paths: Iterable[Path | str], image_size: int) -> Iterator[Picture]:
    """Yield the pictures one by one, without labels.

    A file is read whatever its name. Of a folder, a .zip or a .tar, at any depth, the files with a picture's ending are
    read; hidden files are not. A path or file that cannot be used yields a picture without pixels, with the reason.

    Parameters
    ----------
    image_size : side of the square that pictures are resized to, in pixels
    """
    for path in map(Path, paths):
        try:
            for entry in _entries(path):
                yield _decoded(entry, image_size)
        except (UserError, *BROKEN) as error:
            reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
            yield Picture(str(path), UNLABELLED, None, reason=reason)


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


def _decoded(entry: FileEntry, image_size: int) -> Picture:
    try:
        return Picture(entry.name, UNLABELLED, decode(entry.read(), image_size))
    except (UnusableError, UnreadableError) as error:
        return Picture(entry.name, UNLABELLED, None, reason=str(error))
