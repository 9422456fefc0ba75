"""Read a folder, a .zip or a .tar through one interface: names first, then contents.

Archives are never unpacked to disk. A file's bytes go directly to the decoder, so that paths in an archive cannot
overwrite anything.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fitgap.system.errors import UserError
from fitgap.system.trees import list_tree

MAX_BYTES = 2**28  # per file, 256 MiB; larger than any usable picture, and a limit for archive bombs
TOO_LARGE = f"larger than {MAX_BYTES >> 20} MiB"
UTF8 = 0x800  # the flag of a .zip member whose name is UTF-8
SPECIAL = "a link or device inside an archive"
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True)
class FileEntry:
    """A file in a tree; `read` returns its bytes, or raises an `UnreadableError` with the reason."""

    name: str
    read: Callable[[], bytes]


class UnreadableError(Exception):
    """One file of a tree cannot be read; the message is the reason. Other files are unaffected."""


@dataclass(frozen=True)
class FileTree:
    """A tree of files.

    Attributes
    ----------
    files : relative paths of all files, with slashes, sorted
    folders : relative paths of all folders, with slashes, sorted
    entries : yields the files one by one; an archive is read in its own order, which is fastest
    """

    files: list[str]
    folders: list[str]
    entries: Callable[[], Iterator[FileEntry]]


def read_tree(path: Path, shown: str = "") -> FileTree:
    """Open a folder, a .zip or a .tar archive.

    Parameters
    ----------
    shown : what error messages call the path; by default they call it the `data.path` of params.yaml

    Raises
    ------
    UserError
        If it is missing, damaged or unsafe, or if a name in it is not UTF-8.
    """
    shown = shown or f"params.yaml: data.path: {str(path)!r}"
    tree = _open(path, shown)
    for name in (*tree.folders, *tree.files):
        if not _is_text(name):
            raise _misnamed(shown, name)
    return tree


def is_archive(path: Path) -> bool:
    """Return whether a file is a .zip or .tar archive, by its content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python holds bytes that are not UTF-8 as surrogates
        return False
    return True


def _misnamed(shown: str, name: str) -> UserError:
    return UserError(f"{shown}: the name {name!a} is not UTF-8; rename it, or pack the archive anew with UTF-8 names")


def _open(path: Path, shown: str) -> FileTree:
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise UserError(f"{shown}: not found; a folder, a .zip or a .tar of pictures")
    with _one_line_errors(shown):
        if zipfile.is_zipfile(path):
            return _zip(path, shown)
        if tarfile.is_tarfile(path):
            return _tar(path, shown)
    raise UserError(f"{shown}: neither a folder nor a whole .zip or .tar archive")


@contextmanager
def _one_line_errors(shown: str) -> Iterator[None]:
    """Convert errors about the archive as a whole to a one-line UserError."""
    try:
        yield
    except BROKEN as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{shown}: damaged archive ({why}); copy it again") from None


def _folder(top: Path) -> FileTree:
    files, folders = list_tree(top)

    def entries() -> Iterator[FileEntry]:
        for name in files:
            yield FileEntry(name, lambda path=top / name: read_file(path))

    return FileTree(files, folders, entries)


def read_file(path: Path) -> bytes:
    """Return a file's bytes, or raise an `UnreadableError` with the reason."""
    try:
        if not path.is_file():
            raise UnreadableError("a link that leads nowhere")
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableError(TOO_LARGE)
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"not readable: {error.strerror}") from None


def _zip(path: Path, shown: str) -> FileTree:
    with zipfile.ZipFile(path) as archive:
        members = {_safe(shown, _zip_name(shown, member)): member for member in archive.infolist()}
    files = sorted(name for name, member in members.items() if not member.is_dir())

    def entries() -> Iterator[FileEntry]:
        with _one_line_errors(shown), zipfile.ZipFile(path) as opened:
            for name, member in members.items():
                if not member.is_dir():
                    yield FileEntry(name, lambda member=member: _unzipped(opened, member))

    return FileTree(files, _folders(files, (name for name, member in members.items() if member.is_dir())), entries)


def _zip_name(shown: str, member: zipfile.ZipInfo) -> str:
    """Return a member's name. Without the flag for UTF-8 the encoding is unknown: try UTF-8, and else refuse.

    Python would read it as CP437, and show names in Korean or Japanese as garbage (cpython#84587).
    """
    if member.flag_bits & UTF8 or member.filename.isascii():
        return member.filename
    try:
        return member.filename.encode("cp437").decode()
    except UnicodeEncodeError:  # Python 3.12 and later know the name from an extra field, which is UTF-8
        return member.filename
    except UnicodeDecodeError:
        raise _misnamed(shown, member.filename) from None


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & 1:
        raise UnreadableError("encrypted")
    if member.file_size > MAX_BYTES:
        raise UnreadableError(TOO_LARGE)
    try:
        return archive.read(member)
    except BROKEN as error:
        raise UnreadableError(f"damaged in the archive: {error}") from None


def _tar(path: Path, shown: str) -> FileTree:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        targets = {_safe(shown, member.name): member for member in members if member.isfile()}
        linked = {_safe(shown, one.name): targets.get(_safe(shown, one.linkname)) for one in members if one.islnk()}
        linked = {name: target for name, target in linked.items() if target is not None}
    folders = [_safe(shown, member.name) for member in members if member.isdir()]
    files = sorted({_safe(shown, member.name) for member in members if not member.isdir()})

    def entries() -> Iterator[FileEntry]:
        with _one_line_errors(shown), tarfile.open(path) as opened:
            for member in opened:
                opened.members = []  # tarfile remembers every member; clear the list to keep memory constant
                if not member.isdir() and (name := _safe(shown, member.name)) not in linked:
                    yield FileEntry(name, lambda member=member: _untarred(opened, member))
            for name, target in linked.items():  # hard links; last, since reading them goes back in the archive
                yield FileEntry(name, lambda target=target: _untarred(opened, target))

    return FileTree(files, _folders(files, iter(folders)), entries)


def _untarred(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isfile():
        raise UnreadableError(SPECIAL)
    if member.size > MAX_BYTES:
        raise UnreadableError(TOO_LARGE)
    file: Any = archive.extractfile(member)
    return file.read()


def _safe(shown: str, name: str) -> str:
    """Return a member's name with slashes; raise a UserError if the path leads out of the archive."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or (plain.parts[:1] and plain.parts[0].endswith(":")):
        raise UserError(
            f"{shown}: holds {name!r}, which leads out of the archive; "
            "archives that do so are not read: pack the folder anew"
        )
    return str(plain)


def _folders(files: list[str], named: Iterator[str]) -> list[str]:
    above = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return sorted((above | set(named)) - {"."})
