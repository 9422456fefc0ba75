"""Load your own pictures: one folder per class, inside train/, validation/ and test/ if the split is given.

    pictures/cat/1.jpg                     or    pictures/train/cat/1.jpg
    pictures/dog/2.png                           pictures/test/dog/2.png

The same tree can be a .zip or .tar archive. Enclosing folders are skipped.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fitgap.images import archives
from fitgap.images.decoding import UnusableError, decode
from fitgap.images.sources.collection import Collection, Picture
from fitgap.system.errors import UserError

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
DROPPINGS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found", "$recycle.bin"}
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
BESIDE = "not inside a class folder"


@dataclass(frozen=True)
class Place:
    """The class and official split of a picture, from its path."""

    class_name: str
    official: str = ""


def load(path: Path, image_size: int) -> Collection:
    """List the pictures of a folder or archive; nothing is decoded yet.

    Raises
    ------
    UserError
        If the tree has fewer than two classes, an empty class, or two classes that differ only in case or Unicode form.
    """
    tree = archives.read_tree(path)
    files = {name: _parts(name) for name in tree.files if not _ignored(name)}
    folders = [_parts(name) for name in tree.folders if not _ignored(name)]
    around = _wrapping(list(files.values()), folders)
    files = {name: parts[around:] for name, parts in files.items()}
    folders = [parts[around:] for parts in folders if len(parts) > around]
    splits = _split_folders(path, files.values(), folders)
    places = {name: _place(parts, splits) for name, parts in files.items() if _matters(parts, splits)}
    names = _class_names(path, folders, splits, places.values())
    return Collection(names, len(places), lambda: _pictures(tree, places, names, image_size))


def _pictures(
    tree: archives.FileTree, places: dict[str, Place | None], names: list[str], size: int
) -> Iterator[Picture]:
    labels = {name: label for label, name in enumerate(names)}
    for entry in tree.entries():
        if entry.name not in places:
            continue
        place = places[entry.name]
        if place is None:
            yield Picture(entry.name, -1, None, reason=BESIDE)
            continue
        label = labels[place.class_name]
        try:
            yield Picture(entry.name, label, decode(entry.read(), size), place.official)
        except (UnusableError, archives.UnreadableError) as error:
            yield Picture(entry.name, label, None, place.official, str(error))


def _parts(name: str) -> tuple[str, ...]:
    """Split a path into parts, normalised to NFC: macOS may decompose accents (NFD), Linux does not."""
    return PurePosixPath(unicodedata.normalize("NFC", name)).parts


def _ignored(name: str) -> bool:
    """Return whether a file is hidden or created by an operating system."""
    return any(part.startswith(".") or part.lower() in DROPPINGS for part in PurePosixPath(name).parts)


def _wrapping(files: list[tuple[str, ...]], folders: list[tuple[str, ...]]) -> int:
    """Return the number of enclosing folders: each is alone at its level, with at least two levels below."""
    depth = 0
    while True:
        tops = {parts[depth] for parts in (*files, *folders) if len(parts) > depth}
        loose = any(len(parts) == depth + 1 for parts in files)
        below = any(len(parts) > depth + 2 for parts in files) or any(len(parts) > depth + 1 for parts in folders)
        if len(tops) != 1 or loose or not below:
            return depth
        depth += 1


def _split_folders(path: Path, files: Iterable, folders: list[tuple[str, ...]]) -> dict[str, str]:
    """Return top folder -> split; {} unless every top folder has the name of a split and no pictures of its own."""
    tops = {parts[0] for parts in folders}
    found = {top: SPLIT_FOLDERS[top.lower()] for top in tops if top.lower() in SPLIT_FOLDERS}
    holding = {parts[0] for parts in files if len(parts) == 2 and parts[1].lower().endswith(ENDINGS)}
    if set(found) != tops or holding & set(found):
        return {}
    for split in set(found.values()):
        same = sorted(top for top in found if found[top] == split)
        if len(same) > 1:
            raise UserError(f"{path}: {' and '.join(same)} are both the {split} images; put them into one folder")
    if found and "train" not in found.values():
        raise UserError(f"{path}: holds {', '.join(sorted(found))}/ but no train/; allowed: train/, validation/, test/")
    return found


def _matters(parts: tuple[str, ...], splits: dict[str, str]) -> bool:
    """Return whether a file counts as a picture: any file in a class folder, and picture files elsewhere."""
    in_class = len(parts) > (2 if splits else 1)
    return in_class or parts[-1].lower().endswith(ENDINGS)


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
