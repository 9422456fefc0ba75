"""The interface of folders and archives: names first, then contents. And the checks that all archives share."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from fitgap.system.errors import UserError

MAX_BYTES = 2**28  # per file, 256 MiB; larger than any usable picture, and a limit for archive bombs
TOO_LARGE = f"larger than {MAX_BYTES >> 20} MiB"
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True)
class FileEntry:
    """A file in a tree.

    Attributes
    ----------
    name : relative path, with slashes
    size : bytes, as the tree states it; 0 if unknown
    read : returns the file's bytes, or raises an `UnreadableError` with the reason
    is_independent : whether `read` can be called in any thread at any time; else it must be called in the thread that
        iterates over the entries, before the next entry
    """

    name: str
    size: int
    read: Callable[[], bytes]
    is_independent: bool = False


class UnreadableError(Exception):
    """One file of a tree cannot be read; the message is the reason. Other files are unaffected."""


@dataclass(frozen=True)
class FileTree:
    """A tree of files.

    Attributes
    ----------
    files : relative paths of all files, with slashes, sorted
    folders : relative paths of all folders, with slashes, sorted
    entries : yields the files of the given names one by one; an archive is read in its own order, which is fastest
    is_divisible : whether some of the files can be read without reading the others
    """

    files: list[str]
    folders: list[str]
    entries: Callable[[Collection[str]], Iterator[FileEntry]]
    is_divisible: bool


@contextmanager
def one_line_errors(shown: str) -> Iterator[None]:
    """Convert errors about the archive as a whole to a one-line UserError."""
    try:
        yield
    except BROKEN as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{shown}: damaged archive ({why}); copy it again") from None


def safe_name(shown: str, name: str) -> str:
    """Return a member's name with slashes; raise a UserError if the path leads out of the archive."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or (plain.parts[:1] and plain.parts[0].endswith(":")):
        raise UserError(
            f"{shown}: holds {name!r}, which leads out of the archive; "
            "archives that do so are not read: pack the folder anew"
        )
    return str(plain)


def not_utf8(shown: str, name: str) -> UserError:
    """Return the error for a name whose encoding is unknown."""
    return UserError(f"{shown}: the name {name!a} is not UTF-8; rename it, or pack the archive anew with UTF-8 names")


def all_folders(files: Iterable[str], named: Iterable[str]) -> list[str]:
    """Return the folders that an archive names, and those that its files are in, sorted."""
    above = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return sorted((above | set(named)) - {"."})
