"""Recognise folders that are splits by their names, and refuse what looks like a split but cannot be one.

A folder is given as the parts of its path, a file likewise: ("train", "cat", "1.jpg").
"""

import re
from collections.abc import Iterable
from pathlib import Path

from fitgap.images.decoding import has_picture_ending
from fitgap.system.errors import UserError

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
ADDED = "set|data|dataset|images|imgs|pictures|photos|split"  # words that a split's name may have beside it
SPLIT_WORD = re.compile(f"({'|'.join(SPLIT_WORDS)})(?:{ADDED})?")
FOLD = re.compile(r"(cv|k)?[\W_]*fold[\W_]*\d+")


def split_name(folder: str) -> tuple[str, str] | None:
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


def class_like_a_split(files: Iterable[tuple[str, ...]], folders: list[tuple[str, ...]]) -> str:
    """Return the one top folder that is named for a split and yet a class, as trains are; else an empty string.

    Like the classes beside it, it holds pictures and no folders.
    """
    tops = {parts[0] for parts in folders}
    named = [top for top in tops if (split_name(top) or ("", "rest"))[1] == ""]
    holding = {parts[0] for parts in files if len(parts) == 2 and has_picture_ending(parts[1])}
    nested = {parts[0] for parts in folders if len(parts) > 1}
    return named[0] if len(named) == 1 and len(tops) > 1 and tops <= holding and named[0] not in nested else ""


def find_splits(path: Path, folders: list[tuple[str, ...]]) -> dict[str, str]:
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
    named = {top: found for top in tops if (found := split_name(top))}
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


def repeated_folder(top: str, split: str, folders: list[tuple[str, ...]]) -> str:
    """Return the only folder inside a split's folder if it is named for the same split; else an empty string."""
    inner = {parts[1] for parts in folders if parts[0] == top and len(parts) > 1}
    return "".join(inner) if len(inner) == 1 and (split_name(*inner) or ("",))[0] == split else ""


def without_repetition(parts: tuple[str, ...], repeated: dict[str, str]) -> tuple[str, ...]:
    """Return a path without the second of two folders named for one split; `repeated` maps the first to the second."""
    return (parts[0], *parts[2:]) if len(parts) > 1 and repeated.get(parts[0]) == parts[1] else parts


def check_splits(path: Path, splits: dict[str, str], files: Iterable[tuple[str, ...]]) -> None:
    """Raise a UserError if there is no train, two of one split, or a picture of a split outside of a class folder."""
    for split in set(splits.values()):
        same = sorted(top for top in splits if splits[top] == split)
        if len(same) > 1:
            raise UserError(f"{path}: {' and '.join(same)} are both the {split} images; put them into one folder")
    if splits and "train" not in splits.values():
        raise UserError(
            f"{path}: holds {', '.join(sorted(splits))}/ but no train/; allowed: train/, validation/, test/"
        )
    pictures = (parts for parts in files if len(parts) == 2 and has_picture_ending(parts[1]))
    holding = sorted({top for top, _ in pictures if top in splits})
    if holding:
        raise UserError(
            f"{path}: {holding[0]}/ holds pictures outside of class folders; sort them into class folders as in the "
            "other splits, or move the folder elsewhere"
        )
