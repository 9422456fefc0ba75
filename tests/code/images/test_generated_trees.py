"""Generate folders and archives as people have them: each gives the right classes and splits, or one line."""

import io
import os
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from fitgap.images.sources import directory
from fitgap.system.errors import UserError

PICTURE = io.BytesIO()
Image.fromarray(np.arange(3 * 16, dtype=np.uint8).reshape(4, 4, 3)).save(PICTURE, "PNG")

WORDS = {
    "train": ("train", "training", "Train", "TRAIN"),
    "validation": ("validation", "valid", "val", "dev", "Validation"),
    "test": ("test", "testing", "Test"),
}
STYLES = ("{}", "{}_set", "{}-set", "seg_{}", "{} images", "my_{}_data", "Flowers {}")
CLASSES = ("cat", "dog", "chien né", "猫", "a b", "x&y", "trains", "testament", "valley", "01", "-", "Class.1", "it's")
LIKE_SPLITS = ("train", "Test", "validation")
FAULTS = (
    "",
    "folder beside splits",
    "picture in a split",
    "empty class",
    "class missing in a split",
    "no train",
    "same split twice",
    "link elsewhere",
    "pipe",
    "not UTF-8",
    "only one class",
)
HARMLESS = (
    "readme.txt",
    ".hidden/x.png",
    "__MACOSX/cat/._1.png",
    "Thumbs.db",
    "{class}/.DS_Store",
    "{class}/notes/deep.png",
    "link up",
)


@dataclass
class Tree:
    """A tree on paper: class names, the folder name of each split, and what else is in it."""

    classes: list[str]
    splits: dict[str, str]
    around: tuple[str, ...] = ()
    twice: bool = False
    harmless: list[str] = field(default_factory=list)
    fault: str = ""
    kind: str = "folder"

    @property
    def officials(self) -> set[str]:
        """The splits to find; a single folder is an enclosing folder, whatever its name."""
        left = set(self.splits) - ({"train"} if self.fault == "no train" else set())
        return left if len(left) > 1 else {""}


@st.composite
def splits(draw) -> dict[str, str]:
    chosen = draw(st.sampled_from([(), ("train", "test"), ("train", "validation", "test"), ("train", "validation")]))
    style = draw(st.sampled_from(STYLES))
    return {split: style.format(draw(st.sampled_from(WORDS[split]))) for split in chosen}


@st.composite
def trees(draw) -> Tree:
    chosen = draw(splits())
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=2, max_size=4, unique=True))
    if draw(st.integers(0, 5)) == 0:
        classes[0] = draw(st.sampled_from(LIKE_SPLITS))
    return Tree(
        classes,
        chosen,
        draw(st.sampled_from([(), ("mine",), ("PetImages",), ("a", "b"), ("dataset",)])),
        bool(chosen) and draw(st.booleans()),
        draw(st.lists(st.sampled_from(HARMLESS), max_size=3, unique=True)),
        draw(st.sampled_from(FAULTS)),
        draw(st.sampled_from(["folder", "zip", "tar", "tar.gz"])),
    )


def files_of(tree: Tree) -> dict[str, bytes]:
    """Return the files of a tree; a name that ends in / is an empty folder."""
    around = "".join(f"{name}/" for name in tree.around)
    tops = {split: around + (f"{name}/{name}/" if tree.twice else f"{name}/") for split, name in tree.splits.items()}
    if tree.fault == "no train":
        tops.pop("train", None)
    places = list(tops.values()) or [around]
    classes = tree.classes[:1] if tree.fault == "only one class" else tree.classes
    names = [f"{top}{name}/{i}.png" for top in places for name in classes for i in range(2)]
    for name in tree.harmless:
        names += [around + name] if "{class}" not in name else [places[0] + name.replace("{class}", classes[-1])]
    names += FAULTY.get(tree.fault, lambda *_: [])(around, places[0], classes)
    return {name: b"" if name.endswith("/") else PICTURE.getvalue() for name in names if name != f"{around}link up"}


# Files that a fault adds, from the enclosing folders, the first folder that holds classes, and the classes.
FAULTY = {
    "folder beside splits": lambda around, first, classes: [f"{around}spam/1.png"],
    "picture in a split": lambda around, first, classes: [f"{first}loose.png"],
    "empty class": lambda around, first, classes: [f"{first}void/"],
    "class missing in a split": lambda around, first, classes: [f"{first}extra/1.png"],
    "same split twice": lambda around, first, classes: [f"{around}Train-set/{name}/1.png" for name in classes],
    "not UTF-8": lambda around, first, classes: [f"{first}{classes[0]}/caf\udce9.png"],
}


def packed(files: dict[str, bytes], path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type, member.size = (tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE), len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def written(tree: Tree, files: dict[str, bytes], path: Path) -> Path:
    for name, content in files.items():
        at = path / name
        at.mkdir(parents=True) if name.endswith("/") else at.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            at.write_bytes(content)
    inside = (path / next(name for name in files if name.endswith("0.png"))).parent
    if "link up" in tree.harmless:
        (inside / "up").symlink_to("..")
    if tree.fault == "link elsewhere":
        (path.parent / "disk").mkdir()
        (path.parent / "disk/far.png").write_bytes(PICTURE.getvalue())
        (inside / "disk").symlink_to(path.parent / "disk")
    if tree.fault == "pipe":
        os.mkfifo(inside / "pipe.png")
    return path


def made(tree: Tree, folder: Path) -> Path:
    files = files_of(tree)
    if tree.kind == "folder":
        return written(tree, files, folder / "pictures")
    if tree.kind == "zip":
        files = {name: content for name, content in files.items() if name.isprintable()}
    return packed(files, folder / f"pictures.{tree.kind}")


def is_sound(tree: Tree) -> bool:
    """Return whether a tree must be read: it has no fault, or one that does not apply to it."""
    return {
        "": True,
        "folder beside splits": False,
        "picture in a split": not tree.splits,  # then it stands beside the classes, and is unusable alone
        "class missing in a split": not tree.splits or len(tree.splits) == 1,
        "no train": tree.officials == {""},
        "link elsewhere": tree.kind != "folder",
        "pipe": tree.kind != "folder",
        "not UTF-8": tree.kind == "zip",  # the file is left out
    }.get(tree.fault, False)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees())
def test_tree_gives_its_classes_and_splits_or_one_line(tree):
    with tempfile.TemporaryDirectory() as folder:
        path = made(tree, Path(folder))
        event(tree.fault or "no fault")
        try:
            found = directory.load(path, 32)
            pictures = list(found.pictures())
        except UserError as error:
            assert "\n" not in str(error)
            like_a_split = set(tree.classes) & set(LIKE_SPLITS)
            assert not is_sound(tree) or like_a_split, str(error)
            return
    check_read(tree, found, pictures)


def check_read(tree: Tree, found, pictures) -> None:
    extra = {
        "class missing in a split": {"extra"} - set(tree.splits),
        "folder beside splits": set() if tree.splits else {"spam"},
    }.get(tree.fault, set())
    assert set(found.class_names) == set(tree.classes) | extra
    assert {one.official for one in pictures if one.label >= 0} == tree.officials
    assert all(one.pixels is not None for one in pictures if one.label >= 0 and one.name.endswith(".png"))
    for name in set(tree.classes) & set(LIKE_SPLITS):
        assert tree.officials != {""} or any(name in line for line in found.warnings), name
