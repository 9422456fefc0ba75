"""Read .tar archives, compressed ones too."""

import functools
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fitgap.images.file_trees import (
    BROKEN,
    MAX_BYTES,
    TOO_LARGE,
    FileEntry,
    FileTree,
    UnreadableError,
    all_folders,
    one_line_errors,
    safe_name,
)

SPECIAL = "a link or device inside an archive"


def open_tar(path: Path, shown: str) -> FileTree:
    """List a .tar archive; `shown` is what error messages call it."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        targets = {safe_name(shown, member.name): member for member in members if member.isfile()}
        linked = {
            safe_name(shown, one.name): targets.get(safe_name(shown, one.linkname)) for one in members if one.islnk()
        }
        linked = {name: target for name, target in linked.items() if target is not None}
    folders = [safe_name(shown, member.name) for member in members if member.isdir()]
    files = sorted({safe_name(shown, member.name) for member in members if not member.isdir()})

    def entries(names: Collection[str]) -> Iterator[FileEntry]:
        with one_line_errors(shown), tarfile.open(path) as opened:
            for member in opened:
                opened.members = []  # tarfile remembers every member; clear the list to keep memory constant
                name = safe_name(shown, member.name)
                if name in names and name not in linked and not member.isdir():
                    yield _entry(opened, name, member)
            for name, target in linked.items():  # hard links; last, since reading them goes back in the archive
                if name in names:
                    yield _entry(opened, name, target)

    return FileTree(files, all_folders(files, folders), entries, is_divisible=False)


def _entry(archive: tarfile.TarFile, name: str, member: tarfile.TarInfo) -> FileEntry:
    return FileEntry(name, member.size, functools.partial(_read, archive, member))


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isfile():
        raise UnreadableError(SPECIAL)
    if member.size > MAX_BYTES:
        raise UnreadableError(TOO_LARGE)
    file: Any = archive.extractfile(member)
    try:
        return file.read()
    except BROKEN as error:
        raise UnreadableError(f"damaged in the archive: {error}") from None
