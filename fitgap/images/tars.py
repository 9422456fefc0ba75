"""Read .tar archives, compressed ones too."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fitgap.images.file_trees import (
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

    def entries() -> Iterator[FileEntry]:
        with one_line_errors(shown), tarfile.open(path) as opened:
            for member in opened:
                opened.members = []  # tarfile remembers every member; clear the list to keep memory constant
                if not member.isdir() and (name := safe_name(shown, member.name)) not in linked:
                    yield FileEntry(name, lambda member=member: _read(opened, member))
            for name, target in linked.items():  # hard links; last, since reading them goes back in the archive
                yield FileEntry(name, lambda target=target: _read(opened, target))

    return FileTree(files, all_folders(files, folders), entries)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isfile():
        raise UnreadableError(SPECIAL)
    if member.size > MAX_BYTES:
        raise UnreadableError(TOO_LARGE)
    file: Any = archive.extractfile(member)
    return file.read()
