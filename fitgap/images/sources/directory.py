"""Load your own pictures: one folder per class, inside train/, validation/ and test/ if the split is given.

    pictures/cat/1.jpg                     or    pictures/train/cat/1.jpg
    pictures/dog/2.png                           pictures/test/dog/2.png

The same tree can be a .zip or .tar archive. Enclosing folders are skipped. A path is handled as its parts:
("train", "cat", "1.jpg").
"""

import contextlib
import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from fitgap.images.decoding import has_other_ending, has_picture_ending
from fitgap.images.sources.collection import Collection, Picture
from fitgap.images.sources.picture_files import UNLABELLED, PictureFile, decode_files, unpacked
from fitgap.system.errors import UserError
from fitgap.system.files import list_tree

DROPPINGS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found", "$recycle.bin"}
BESIDE = "not inside a class folder"
SPLIT_WORDS = {"train": "train", "val": "validation", "dev": "validation", "test": "test"}  # beginnings of words
Parts = tuple[str, ...]
Labels = dict[str, tuple[int, str]]  # name of a picture -> index of its class, and the split that the folders give it


def load(path: Path, image_size: int, split_folders: str = "by_name") -> Collection:
    """List the pictures of a folder or archive; nothing is decoded yet.

    With `split_folders` "by_name", folders that hold the class folders are splits; with "none" all are classes.

    Raises a UserError if the tree has fewer than two classes, an empty class, or folders that are neither classes nor
    splits.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(unpacked(path, f"params.yaml: data.path: {str(path)!r}"))
        names, inner = list_tree(folder)
        files = {name: _parts(name) for name in names if not is_ignored(name)}
        folders = [_parts(name) for name in inner if not is_ignored(name)]
        depth = _enclosing(list(files.values()), folders)
        files = {name: parts[depth:] for name, parts in files.items() if len(parts) > depth}
        folders = [parts[depth:] for parts in folders if len(parts) > depth]
        splits = find_splits(path, files.values(), folders) if split_folders == "by_name" else {}
        repeated = _repeated(splits, folders)
        files = {name: _without_repetition(parts, repeated) for name, parts in files.items()}
        folders = [_without_repetition(parts, repeated) for parts in folders]
        inside = 2 if splits else 1  # folders above a picture
        named = {name: own for name, own in files.items() if len(own) > inside or has_picture_ending(own[-1])}
        others = [name for name in named if has_other_ending(name)]
        pictures = {name: own for name, own in named.items() if not has_other_ending(name)}  # or with none
        classes = _class_names(path, folders, splits, pictures.values())
        labels = _labels(pictures, splits, classes)
        decoded = partial(_pictures, folder, image_size, labels, pictures.keys() - labels.keys())
        return Collection(classes, len(pictures), decoded, stack.pop_all().close, labels, folder, others)


def _pictures(folder: Path, image_size: int, labels: Labels, beside: Iterable[str]) -> Generator[Picture, None, None]:
    for name in beside:
        yield Picture(name, UNLABELLED, None, reason=BESIDE)
    for picture in decode_files((PictureFile(name, folder / name) for name in labels), image_size):
        label, official = labels[picture.name]
        yield dataclasses.replace(picture, label=label, official=official)


def _parts(name: str) -> Parts:
    """Split a path into parts, normalised to NFC: macOS may decompose accents (NFD), Linux does not."""
    return PurePosixPath(unicodedata.normalize("NFC", name)).parts


def is_ignored(name: str) -> bool:
    """Return whether a file is hidden or created by an operating system."""
    return any(part.startswith(".") or part.lower() in DROPPINGS for part in PurePosixPath(name).parts)


def _enclosing(files: list[Parts], folders: list[Parts]) -> int:
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


def find_splits(path: Path, files: Iterable[Parts], folders: Iterable[Parts]) -> dict[str, str]:
    """Return top folder -> split ("train", "validation", "test"); {} if the top folders are the classes.

    Splits hold folders and no pictures, and their names say which: train, training_set, seg_test, Validation images.

    Raises a UserError if some folders look like splits and others do not, or if the top folders hold folders but are
    named for no split (years, folds): they would be compared as if they were classes.
    """
    tops = {parts[0] for parts in folders}
    direct = {parts[0] for parts in files if len(parts) == 2 and has_picture_ending(parts[1])}
    above = {parts[0] for parts in folders if len(parts) > 1} - direct
    named = {top: split for top in sorted(tops) if (split := _split_name(top))}
    if not tops or (above != tops and not above & named.keys() and tops != named.keys()):
        return {}
    if not above == tops == named.keys():
        odd = min(above - named.keys() or tops - above)
        raise UserError(
            f"{path}: {odd}/ is neither a class folder with pictures nor a split with class folders; allowed: class "
            "folders, or only train/, validation/ and test/ with the class folders inside (data.split_folders: none "
            f"makes {', '.join(sorted(tops))} the classes)"
        )
    if "train" not in named.values() or len(set(named.values())) < len(named):
        raise UserError(
            f"{path}: holds the splits {', '.join(named)}; needed: one train folder, and at most one of validation and "
            "one of test"
        )
    return named


def _split_name(folder: str) -> str:
    """Return the split that a folder is named for; "" if its name has no split's word, or several."""
    words = set(re.findall(f"(?:^|[^a-z])({'|'.join(SPLIT_WORDS)})", folder.casefold()))
    return SPLIT_WORDS[words.pop()] if len(words) == 1 else ""


def _repeated(splits: Mapping[str, str], folders: Iterable[Parts]) -> set[Parts]:
    """Return each split's folder with its only inner folder, if both are named for this split (training/training)."""
    pairs = {parts[:2] for parts in folders if len(parts) > 1 and parts[0] in splits}
    counts = Counter(top for top, _ in pairs)
    return {(top, inner) for top, inner in pairs if counts[top] == 1 and _split_name(inner) == splits[top]}


def _without_repetition(parts: Parts, repeated: set[Parts]) -> Parts:
    return (parts[0], *parts[2:]) if parts[:2] in repeated else parts


def _labels(pictures: Mapping[str, Parts], splits: Mapping[str, str], classes: list[str]) -> Labels:
    """Return the labels of the pictures in class folders."""
    depth, index = (1 if splits else 0), {name: label for label, name in enumerate(classes)}
    inside = {name: parts for name, parts in pictures.items() if len(parts) > depth + 1}
    return {name: (index[parts[depth]], splits.get(parts[0], "")) for name, parts in inside.items()}


def _class_names(
    path: Path, folders: Iterable[Parts], splits: Mapping[str, str], pictures: Iterable[Parts]
) -> list[str]:
    depth = 1 if splits else 0
    declared = {parts[: depth + 1] for parts in folders if len(parts) > depth}
    filled = {parts[: depth + 1] for parts in pictures if len(parts) > depth + 1}
    names = sorted({parts[depth] for parts in declared})
    if len(names) < 2:
        found = f"only the class {names[0]!r}" if names else "no class folders"
        raise UserError(f"{path}: {found}; needed: at least two folders, one per class, with its pictures inside")
    for place in ((*top, name) for top in ([(split,) for split in splits] or [()]) for name in names):
        if place not in declared:
            raise UserError(
                f"{path}: no {'/'.join(place)}/: every class needs a folder in each of the splits that are given"
            )
        if place not in filled:
            raise UserError(f"{path}: {'/'.join(place)}/ holds no picture; add some or delete the folder")
    return names
