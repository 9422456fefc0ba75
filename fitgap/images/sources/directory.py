"""Load your own pictures: one folder per class, inside train/, validation/ and test/ if the split is given.

    pictures/cat/1.jpg                     or    pictures/train/cat/1.jpg
    pictures/dog/2.png                           pictures/test/dog/2.png

The same tree can be a .zip or .tar archive. Enclosing folders are skipped.
"""

import unicodedata
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fitgap.images import archives
from fitgap.images.decoding import has_picture_ending
from fitgap.images.file_trees import FileTree
from fitgap.images.sources.collection import Collection, Picture
from fitgap.images.sources.split_folders import (
    check_splits,
    class_like_a_split,
    find_splits,
    repeated_folder,
    without_repetition,
)
from fitgap.images.sources.tree_decoding import Labels, decode_tree
from fitgap.pipeline.watched import check_watched
from fitgap.system.errors import UserError

DROPPINGS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found", "$recycle.bin"}
BESIDE = "not inside a class folder"


@dataclass(frozen=True)
class Place:
    """The class and official split of a picture, from its path."""

    class_name: str
    official: str = ""


def load(path: Path, image_size: int, split_folders: str = "by_name") -> Collection:
    """List the pictures of a folder or archive; nothing is decoded yet.

    Parameters
    ----------
    split_folders : "by_name": folders named train, validation and test are splits; "none": all folders are classes

    Raises
    ------
    UserError
        If the tree has fewer than two classes, an empty class, or two classes that differ only in case or Unicode form.
    """
    tree = archives.read_tree(path)
    files = {name: _parts(name) for name in tree.files if not is_ignored(name)}
    folders = [_parts(name) for name in tree.folders if not is_ignored(name)]
    around = _wrapping(list(files.values()), folders)
    files = {name: parts[around:] for name, parts in files.items() if len(parts) > around}
    folders = [parts[around:] for parts in folders if len(parts) > around]
    by_name = split_folders == "by_name"
    doubtful = class_like_a_split(files.values(), folders) if by_name else ""
    splits = find_splits(path, folders) if by_name and not doubtful else {}
    repeated = {top: inner for top, split in splits.items() if (inner := repeated_folder(top, split, folders))}
    files = {name: without_repetition(parts, repeated) for name, parts in files.items()}
    folders = [without_repetition(parts, repeated) for parts in folders]
    check_splits(path, splits, files.values())
    places = {name: _place(parts, splits) for name, parts in files.items() if _matters(parts, splits)}
    if path.is_dir():
        check_watched(path, places)
    names = _class_names(path, folders, splits, places.values())
    warnings = (f"{path}: {doubtful}/ is read as a class, although it is named like a split",) if doubtful else ()
    index = {name: label for label, name in enumerate(names)}
    labels = {name: Labels(index[at.class_name], at.official) for name, at in places.items() if at}
    beside = [name for name, at in places.items() if at is None]
    return Collection(names, len(places), lambda: _pictures(path, tree, image_size, labels, beside), warnings)


def _pictures(
    path: Path, tree: FileTree, image_size: int, labels: Mapping[str, Labels], beside: Iterable[str]
) -> Generator[Picture, None, None]:
    for name in beside:
        yield Picture(name, -1, None, reason=BESIDE)
    yield from decode_tree(path, tree, image_size, labels)


def _parts(name: str) -> tuple[str, ...]:
    """Split a path into parts, normalised to NFC: macOS may decompose accents (NFD), Linux does not."""
    return PurePosixPath(unicodedata.normalize("NFC", name)).parts


def is_ignored(name: str) -> bool:
    """Return whether a file is hidden or created by an operating system."""
    return any(part.startswith(".") or part.lower() in DROPPINGS for part in PurePosixPath(name).parts)


def _wrapping(files: list[tuple[str, ...]], folders: list[tuple[str, ...]]) -> int:
    """Return the number of enclosing folders: each is the only folder at its level, with at least two levels below.

    Other files may stand beside it (a readme), but no pictures.
    """
    depth = 0
    while True:
        tops = {parts[depth] for parts in folders if len(parts) > depth}
        loose = any(len(parts) == depth + 1 and has_picture_ending(parts[-1]) for parts in files)
        below = any(len(parts) > depth + 2 for parts in files) or any(len(parts) > depth + 1 for parts in folders)
        if len(tops) != 1 or loose or not below:
            return depth
        depth += 1


def _matters(parts: tuple[str, ...], splits: dict[str, str]) -> bool:
    """Return whether a file counts as a picture: any file in a class folder, and picture files elsewhere."""
    in_class = len(parts) > (2 if splits else 1)
    return in_class or has_picture_ending(parts[-1])


def _place(parts: tuple[str, ...], splits: dict[str, str]) -> Place | None:
    if not splits:
        return Place(parts[0]) if len(parts) > 1 else None
    return Place(parts[1], splits[parts[0]]) if len(parts) > 2 else None


def _class_names(path: Path, folders: list, splits: dict[str, str], places: Iterable[Place | None]) -> list[str]:
    depth = 1 if splits else 0
    declared = {(splits.get(parts[0], ""), parts[depth]) for parts in folders if len(parts) > depth}
    filled = {(place.official, place.class_name) for place in places if place}
    names = sorted({name for _, name in declared})
    _check_names(path, names)
    for official in sorted(set(splits.values()) or {""}):
        for name in names:
            where = f"{name}/" if not official else f"{official}/{name}/"
            if (official, name) not in declared:
                raise UserError(f"{path}: no {where}: every class needs a folder in each of the splits that are given")
            if (official, name) not in filled:
                raise UserError(f"{path}: {where} holds no picture; add some or delete the folder")
    return names


def _check_names(path: Path, names: list[str]) -> None:
    if len(names) < 2:
        found = f"only the class {names[0]!r}" if names else "no class folders"
        raise UserError(f"{path}: {found}; needed: at least two folders, one per class, with its pictures inside")
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if other != name:
            raise UserError(f"{path}: {other!r} and {name!r} differ only in case or Unicode form; rename or join them")
