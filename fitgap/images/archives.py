"""Read a folder, a .zip or a .tar through one interface.

Archives are never unpacked to disk. A file's bytes go directly to the decoder, so that paths in an archive cannot
overwrite anything.
"""

import functools
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from fitgap.images.file_trees import (
    MAX_BYTES,
    TOO_LARGE,
    FileEntry,
    FileTree,
    UnreadableError,
    not_utf8,
    one_line_errors,
)
from fitgap.images.tars import open_tar
from fitgap.images.zips import open_zip, zip_entries
from fitgap.system.errors import UserError
from fitgap.system.trees import list_tree


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
    shown = shown or _shown(path)
    tree = _open(path, shown)
    for name in (*tree.folders, *tree.files):
        if not _is_text(name):
            raise not_utf8(shown, name)
    return tree


def read_files(path: Path, names: Collection[str]) -> Iterator[FileEntry]:
    """Yield the files of these names; of a folder and a .zip, without reading the others.

    Raises
    ------
    UserError
        If the path is missing or a damaged archive.
    """
    if path.is_dir():
        return (file_entry(path / name, name) for name in names)
    if zipfile.is_zipfile(path):
        return zip_entries(path, _shown(path), names)
    return read_tree(path).entries(names)


def file_entry(path: Path, name: str) -> FileEntry:
    """Return the entry of a file on disk, which need not exist."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return FileEntry(name, size, functools.partial(read_file, path), is_independent=True)


def is_archive(path: Path) -> bool:
    """Return whether a file is a .zip or .tar archive, by its content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


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


def _shown(path: Path) -> str:
    return f"params.yaml: data.path: {str(path)!r}"


def _open(path: Path, shown: str) -> FileTree:
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise UserError(f"{shown}: not found; a folder, a .zip or a .tar of pictures")
    with one_line_errors(shown):
        if zipfile.is_zipfile(path):
            return open_zip(path, shown)
        if tarfile.is_tarfile(path):
            return open_tar(path, shown)
    raise UserError(f"{shown}: neither a folder nor a whole .zip or .tar archive")


def _open_folder(top: Path) -> FileTree:
    files, folders = list_tree(top)

    def entries(names: Collection[str]) -> Iterator[FileEntry]:
        return (file_entry(top / name, name) for name in files if name in names)

    return FileTree(files, folders, entries, is_divisible=True)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python holds bytes that are not UTF-8 as surrogates
        return False
    return True
