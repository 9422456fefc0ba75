"""Folders and archives of pictures: list their files, and decode these in threads.

Archives are unpacked into a temporary folder, so that only folders are read. Pillow releases Python's global lock
while it decodes and resizes, so that threads are enough.
"""

import lzma
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fitgap.images.decoding import UnusableError, decode, readable_formats
from fitgap.images.sources.collection import Picture
from fitgap.system.errors import UserError
from fitgap.system.files import require_space
from fitgap.system.processor import usable_cores

# What Python raises for damaged archives.
UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
UNLABELLED = -1
THREADS = 8  # at most; each may hold a large picture
AHEAD = 4  # pictures per thread that are decoded or wait for their turn


@dataclass(frozen=True)
class PictureFile:
    """A file to decode."""

    name: str  # what its picture is called
    path: Path
    problem: str = ""  # why it cannot be read, if that is known


@contextmanager
def unpacked(path: Path, shown: str) -> Iterator[Path]:
    """Yield the folder itself, or a temporary folder with the content of a .zip or .tar archive.

    `shown` is what error messages call the path.

    Raises a UserError if it is missing, not readable as an archive, holds a path that leads out of it or a name that is
    not UTF-8, or if the disk is too full.
    """
    if path.is_dir():
        yield path
        return
    if not path.exists():
        raise UserError(f"{shown}: not found; a folder, a .zip or a .tar of pictures")
    with tempfile.TemporaryDirectory(prefix="fitgap-") as name:
        try:
            _unpack(path, Path(name), shown)
        except UnicodeDecodeError:
            raise UserError(f"{shown}: holds names that are not UTF-8; pack it anew with UTF-8 names") from None
        except RuntimeError as error:  # encrypted, or NotImplementedError: packed by a method that Python does not know
            raise UserError(f"{shown}: {error}; pack it anew as a plain .zip or .tar, or name a folder") from None
        except UNREADABLE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{shown}: not readable as an archive ({reason}); copy it again, or pack it anew") from None
        yield Path(name)


def _unpack(path: Path, folder: Path, shown: str) -> None:
    what = f"the unpacked files of {path.name}"
    if zipfile.is_zipfile(path):
        # Without UTF-8, Python would read names in another encoding as garbage (cpython#84587).
        with zipfile.ZipFile(path, metadata_encoding="utf-8") as archive:
            require_space(folder, sum(member.file_size for member in archive.infolist()), what)
            archive.extractall(folder)  # leaves out what would lead out of the folder
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            require_space(folder, sum(member.size for member in archive), what)
            archive.extractall(folder, filter="data")
    else:
        raise UserError(f"{shown}: neither a folder nor a whole .zip or .tar archive")


def is_archive(path: Path) -> bool:
    """Return whether a file is a .zip or .tar archive, by its content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def decode_files(files: Iterable[PictureFile], image_size: int) -> Generator[Picture, None, None]:
    """Yield the pictures of files, unlabelled, in the order of the files; few of them are in memory.

    Close the iterator to stop early: pictures that no thread has begun are dropped. `image_size` is the side of the
    square that pictures are resized to, in pixels.
    """
    threads = min(THREADS, usable_cores())
    readable_formats()  # registers Pillow's decoders, before there are threads
    pending: deque[Future[Picture]] = deque()
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "decode") as pool:
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata; enormous pictures are refused
        try:
            for file in files:
                pending.append(pool.submit(_decode, file, image_size))
                if len(pending) > AHEAD * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(file: PictureFile, image_size: int) -> Picture:
    try:
        if file.problem:
            raise UnusableError(file.problem)
        return Picture(file.name, UNLABELLED, decode(file.path.read_bytes(), image_size))
    except OSError as error:
        return Picture(file.name, UNLABELLED, None, reason=f"not readable: {error.strerror}")
    except UnusableError as error:
        return Picture(file.name, UNLABELLED, None, reason=str(error))
