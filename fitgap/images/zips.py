"""Read .zip archives."""

import functools
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from fitgap.images.file_trees import (
    BROKEN,
    MAX_BYTES,
    TOO_LARGE,
    FileEntry,
    FileTree,
    UnreadableError,
    all_folders,
    not_utf8,
    one_line_errors,
    safe_name,
)

UTF8 = 0x800  # the flag of a member whose name is UTF-8


def open_zip(path: Path, shown: str) -> FileTree:
    """List a .zip archive; `shown` is what error messages call it."""
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, shown)
    files = sorted(name for name, member in members.items() if not member.is_dir())
    folders = all_folders(files, (name for name, member in members.items() if member.is_dir()))
    return FileTree(files, folders, functools.partial(zip_entries, path, shown), is_divisible=True)


def zip_entries(path: Path, shown: str, names: Collection[str]) -> Iterator[FileEntry]:
    """Yield the files of these names, in the archive's order."""
    with one_line_errors(shown), zipfile.ZipFile(path) as archive:
        for name, member in _members(archive, shown).items():
            if name in names:
                yield FileEntry(name, member.file_size, functools.partial(_read, archive, member))


def _members(archive: zipfile.ZipFile, shown: str) -> dict[str, zipfile.ZipInfo]:
    return {safe_name(shown, _name(shown, member)): member for member in archive.infolist()}


def _name(shown: str, member: zipfile.ZipInfo) -> str:
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
        raise not_utf8(shown, member.filename) from None


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & 1:
        raise UnreadableError("encrypted")
    if member.file_size > MAX_BYTES:
        raise UnreadableError(TOO_LARGE)
    try:
        return archive.read(member)
    except BROKEN as error:
        raise UnreadableError(f"damaged in the archive: {error}") from None
