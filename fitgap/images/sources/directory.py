"""Load your own pictures: one folder per class, inside train/, validation/ and test/ if the split is given.

    pictures/cat/1.jpg                     or    pictures/train/cat/1.jpg
    pictures/dog/2.png                           pictures/test/dog/2.png

The same tree can be a .zip or .tar archive. Enclosing folders are skipped.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fitgap.images import archives, decoding
from fitgap.images.decoding import UnusableError, decode
from fitgap.images.sources.collection import Collection, Picture
from fitgap.pipeline.watched import check_watched
from fitgap.system.errors import UserError

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
ADDED = "set|data|dataset|images|imgs|pictures|photos|split"  # words that a split's name may have beside it
SPLIT_WORD = re.compile(f"({'|'.join(SPLIT_WORDS)})(?:{ADDED})?")
FOLD = re.compile(r"(cv|k)?[\W_]*fold[\W_]*\d+")
DROPPINGS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found", "$recycle.bin"}
ENDINGS = tuple(ending for endings in decoding.ENDINGS.values() for ending in endings)
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
    files = {name: _parts(name) for name in tree.files if not _ignored(name)}
    folders = [_parts(name) for name in tree.folders if not _ignored(name)]
    around = _wrapping(list(files.values()), folders)
    files = {name: parts[around:] for name, parts in files.items() if len(parts) > around}
    folders = [parts[around:] for parts in folders if len(parts) > around]
    by_name = split_folders == "by_name"
    doubtful = _class_like_a_split(files.values(), folders) if by_name else ""
    splits = _split_folders(path, folders) if by_name and not doubtful else {}
    repeated = {top: inner for top, split in splits.items() if (inner := _repeated_folder(top, split, folders))}
    files = {name: _without_repetition(parts, repeated) for name, parts in files.items()}
    folders = [_without_repetition(parts, repeated) for parts in folders]
    _check_splits(path, splits, files.values())
    places = {name: _place(parts, splits) for name, parts in files.items() if _matters(parts, splits)}
    if path.is_dir():
        check_watched(path, places)
    names = _class_names(path, folders, splits, places.values())
    warnings = (f"{path}: {doubtful}/ is read as a class, although it is named like a split",) if doubtful else ()
    return Collection(names, len(places), lambda: _pictures(tree, places, names, image_size), warnings)


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


def _is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _wrapping(files: list[tuple[str, ...]], folders: list[tuple[str, ...]]) -> int:
    """Return the number of enclosing folders: each is the only folder at its level, with at least two levels below.

    Other files may stand beside it (a readme), but no pictures.
    """
    depth = 0
    while True:
        tops = {parts[depth] for parts in folders if len(parts) > depth}
        loose = any(len(parts) == depth + 1 and _is_picture(parts[-1]) for parts in files)
        below = any(len(parts) > depth + 2 for parts in files) or any(len(parts) > depth + 1 for parts in folders)
        if len(tops) != 1 or loose or not below:
            return depth
        depth += 1


def _split_name(folder: str) -> tuple[str, str] | None:
    """Return the split that a folder is named for, and the rest of its name: ("train", "seg") for `seg_train`.

    Return None if its name holds no split's usual name, or more than one.
    """
    words = re.findall(r"[^\W_]+", folder.casefold())
    found = {word: match for word in words if (match := SPLIT_WORD.fullmatch(word))}
    if len(found) != 1:
        return None
    ((word, match),) = found.items()
    rest = [other for other in words if other != word and not re.fullmatch(ADDED, other)]
    return SPLIT_WORDS[match[1]], " ".join(rest)


def _class_like_a_split(files: Iterable[tuple[str, ...]], folders: list[tuple[str, ...]]) -> str:
    """Return the one top folder that is named for a split and yet a class, as trains are; else an empty string.

    Like the classes beside it, it holds pictures and no folders.
    """
    tops = {parts[0] for parts in folders}
    named = [top for top in tops if (_split_name(top) or ("", "rest"))[1] == ""]
    holding = {parts[0] for parts in files if len(parts) == 2 and _is_picture(parts[1])}
    nested = {parts[0] for parts in folders if len(parts) > 1}
    return named[0] if len(named) == 1 and len(tops) > 1 and tops <= holding and named[0] not in nested else ""


def _split_folders(path: Path, folders: list[tuple[str, ...]]) -> dict[str, str]:
    """Return top folder -> split; {} if no top folder is named for a split.

    Raises
    ------
    UserError
        If only some folders look like splits, or all look like folds: they would be compared as if they were classes.
    """
    tops = {parts[0] for parts in folders}
    folds = sorted(top for top in tops if FOLD.fullmatch(top.casefold()))
    if len(folds) > 1:
        raise UserError(
            f"{path}: {', '.join(folds)}: folds of a cross-validation are not read; put the class folders of all into "
            "one folder: each seed draws its own images from it (data.split_folders: none if they are classes)"
        )
    named = {top: found for top in tops if (found := _split_name(top))}
    found: dict[str, str] = {}
    for rest in {rest for _, rest in named.values()}:
        alike = {top: split for top, (split, other) in named.items() if other == rest}
        if not rest or len(set(alike.values())) > 1:
            found |= alike
    others = sorted(tops - set(found))
    if found and others:
        raise UserError(
            f"{path}: {', '.join(sorted(found))}: named like a split, but {others[0]} beside it is not; allowed: only "
            "train/, validation/ and test/ with class folders inside, or only class folders (data.split_folders: none)"
        )
    return found


def _repeated_folder(top: str, split: str, folders: list[tuple[str, ...]]) -> str:
    """Return the only folder inside a split's folder if it is named for the same split; else an empty string."""
    inner = {parts[1] for parts in folders if parts[0] == top and len(parts) > 1}
    return "".join(inner) if len(inner) == 1 and (_split_name(*inner) or ("",))[0] == split else ""


def _without_repetition(parts: tuple[str, ...], repeated: dict[str, str]) -> tuple[str, ...]:
    return (parts[0], *parts[2:]) if len(parts) > 1 and repeated.get(parts[0]) == parts[1] else parts


def _check_splits(path: Path, splits: dict[str, str], files: Iterable[tuple[str, ...]]) -> None:
    for split in set(splits.values()):
        same = sorted(top for top in splits if splits[top] == split)
        if len(same) > 1:
            raise UserError(f"{path}: {' and '.join(same)} are both the {split} images; put them into one folder")
    if splits and "train" not in splits.values():
        raise UserError(
            f"{path}: holds {', '.join(sorted(splits))}/ but no train/; allowed: train/, validation/, test/"
        )
    holding = sorted({parts[0] for parts in files if len(parts) == 2 and parts[0] in splits and _is_picture(parts[1])})
    if holding:
        raise UserError(
            f"{path}: {holding[0]}/ holds pictures outside of class folders; sort them into class folders as in the "
            "other splits, or move the folder elsewhere"
        )


def _matters(parts: tuple[str, ...], splits: dict[str, str]) -> bool:
    """Return whether a file counts as a picture: any file in a class folder, and picture files elsewhere."""
    in_class = len(parts) > (2 if splits else 1)
    return in_class or _is_picture(parts[-1])


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
