"""Read the pictures that a user names: files, folders and archives, decoded as stage `prepare` decodes them."""

import contextlib
import itertools
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from fitgap.images.decoding import ENDINGS, has_picture_ending
from fitgap.images.sources.collection import Picture
from fitgap.images.sources.directory import is_ignored
from fitgap.images.sources.picture_files import PictureFile, decode_files, is_archive, unpacked
from fitgap.system.errors import UserError
from fitgap.system.files import list_tree


def read_pictures(paths: Iterable[Path | str], image_size: int) -> Generator[Picture, None, None]:
    """Yield the pictures one by one, without labels; threads decode them, in advance.

    A file is read whatever its name. Of a folder, a .zip or a .tar, at any depth, the files with a picture's ending are
    read; hidden files are not. A path or file that cannot be used yields a picture without pixels, with the reason.

    Parameters
    ----------
    image_size : side of the square that pictures are resized to, in pixels
    """
    with contextlib.ExitStack() as stack:  # keeps what archives are unpacked to until all are decoded
        files = itertools.chain.from_iterable(_files(Path(path), stack) for path in paths)
        yield from decode_files(files, image_size)


def _files(path: Path, stack: contextlib.ExitStack) -> Iterator[PictureFile]:
    """Yield the files of a path; one that cannot be used is a file that cannot be read."""
    try:
        if not path.exists():
            raise UserError("not found; a picture, or a folder, a .zip or a .tar of pictures")
        if not path.is_dir() and not path.is_file():  # to open a pipe could take for ever
            raise UserError("neither a file nor a folder")
        if path.is_dir() or (not has_picture_ending(path.name) and is_archive(path)):
            yield from _inside(path, stack.enter_context(unpacked(path, str(path))))
        else:
            yield PictureFile(str(path), path)
    except (UserError, OSError) as error:
        reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
        yield PictureFile(str(path), path, problem=reason)


def _inside(path: Path, folder: Path) -> Iterator[PictureFile]:
    names = [name for name in list_tree(folder)[0] if has_picture_ending(name) and not is_ignored(name)]
    if not names:
        raise UserError(f"holds no picture; files that are read end in {', '.join(itertools.chain(*ENDINGS.values()))}")
    for name in names:
        yield PictureFile(f"{path}/{name}", folder / name)
