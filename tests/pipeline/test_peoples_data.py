"""Test what people bring: folders, archives and pictures from public bug reports, each with what becomes of it."""

import io
import json
import os
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Clone, cloned
from PIL import Image

COUNT = 10  # pictures in each folder
OWN = {"data.source": "directory", "data.train_images": 8, "data.validation_images": 8, "data.pool_images": "all"}


@pytest.fixture
def clone(repository, tmp_path) -> Clone:
    made = cloned(repository, tmp_path / "clone")
    made.edit(**OWN, **{"data.path": "p", "data.test_images": 4, "learning_curve.sizes": []})
    return made


def pictures(seed: int, count: int = COUNT) -> list[bytes]:
    random, made = np.random.default_rng(seed), []
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "PNG")
        made.append(file.getvalue())
    return made


def pics(top: Path, *folders: str) -> Path:
    """Write ten pictures into each of these folders."""
    for number, folder in enumerate(folders):
        (top / folder).mkdir(parents=True)
        for i, content in enumerate(pictures(number)):
            (top / folder / f"{i}.png").write_bytes(content)
    return top


def linked_folder(top: Path) -> None:
    pics(top, "p/cat", "p/dog", "disk/cat")
    (top / "p/cat/external-disk").symlink_to(top / "disk/cat")


def linked_class(top: Path) -> None:
    pics(top, "p/cat", "disk/dog")
    (top / "p/dog").symlink_to(top / "disk/dog")


def nested_repository(top: Path) -> None:
    pics(top, "p/cat", "p/dog")
    (top / "p/dog/.dvc").mkdir()


def circles(top: Path) -> None:
    pics(top, "p/cat", "p/dog")
    (top / "p/cat/up").symlink_to("..")
    (top / "p/dog/up").symlink_to("..")


def odd_metadata(top: Path) -> None:
    """Add a JPEG whose EXIF holds a rational of -1/0, and PNGs with a broken eXIf and a long text."""
    pics(top, "p/cat", "p/dog")
    tags = struct.pack(">HHHIHH", 2, 0x0112, 3, 1, 3, 0) + struct.pack(">HHII", 0x011A, 10, 1, 38)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + tags + struct.pack(">I", 0) + struct.pack(">ii", -1, 0)
    Image.open(top / "p/cat/0.png").save(top / "p/cat/exif.jpg", exif=exif)
    for name, kind, content in (("a", b"eXIf", b"?"), ("b", b"zTXt", b"N\0\0" + zlib.compress(bytes(2 << 20)))):
        png = pictures(9)[0 if name == "a" else 1]
        chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        (top / f"p/cat/{name}.png").write_bytes(png[:33] + chunk + png[33:])


def latin_in_a_tar(top: Path) -> None:
    with tarfile.open(top / "p", "w", format=tarfile.GNU_FORMAT) as archive:
        for label, name in enumerate(("cat", "dog")):
            for i, content in enumerate(pictures(label)):
                member = tarfile.TarInfo(f"{name}/{i}.png" if i else f"{name}/caf\udce9.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def latin_in_a_folder(top: Path) -> None:
    pics(top, "p/cat", "p/dog")
    Path(os.fsdecode(bytes(top) + b"/p/cat/caf\xe9.png")).write_bytes(pictures(7)[0])


def korean_in_a_zip(top: Path) -> None:
    name = "고양이".encode("cp949")
    with zipfile.ZipFile(top / "p", "w") as archive:
        for label, folder in enumerate(("x" * len(name), "dog")):
            for i, content in enumerate(pictures(label)):
                archive.writestr(f"{folder}/{i}.png", content)
    (top / "p").write_bytes((top / "p").read_bytes().replace(b"x" * len(name) + b"/", name + b"/"))


def zip_with_a_readme(top: Path) -> None:
    with zipfile.ZipFile(top / "p", "w") as archive:
        archive.writestr("readme[1].txt", "read me")
        archive.writestr("MSR-LA - 3467.docx", "terms")
        for label, name in enumerate(("Cat", "Dog")):
            for i, content in enumerate(pictures(label)):
                archive.writestr(f"PetImages/{name}/{i}.png", content)


def tar_with_hard_links(top: Path) -> None:
    pics(top, "made/cat", "made/dog")
    os.link(top / "made/cat/0.png", top / "made/cat/again.png")
    with tarfile.open(top / "p", "w:gz") as archive:
        archive.add(top / "made/cat", "cat")
        archive.add(top / "made/dog", "dog")


def splits(*folders: str) -> Callable[[Path], object]:
    return lambda top: pics(top / "p", *folders)


# what they bring -> how to make it, and its classes and number of pictures, or the line to expect
CASES: dict[str, tuple[Callable[[Path], object], tuple[list[str], int] | str]] = {
    "loose test pictures beside splits": (
        splits("train/cats", "train/dogs", "validation/cats", "validation/dogs", "test"), "test/ holds pictures"),
    "splits nested in themselves": (
        splits(*(f"{s}_set/{s}_set/{c}" for s in ("training", "test") for c in ("cats", "dogs"))),
        (["cats", "dogs"], 24)),
    "an unknown folder beside splits": (
        splits("train/cats", "train/dogs", "test/cats", "test/dogs", "spam/eggs"), "spam beside it is not"),
    "a link to a folder": (linked_folder, "p/cat/external-disk: a link to the folder"),
    "a class that is a link": (linked_class, "p/dog: a link to the folder"),
    "a DVC repository inside": (nested_repository, "p/dog/0.png: DVC does not see this file"),
    "links that go round in circles": (circles, (["cat", "dog"], 20)),
    "odd metadata": (odd_metadata, (["cat", "dog"], 23)),
    "a Latin-1 name in a .tar": (latin_in_a_tar, r"'cat/caf\\udce9.png' is not UTF-8"),
    "a Latin-1 name in a folder": (latin_in_a_folder, r"'cat/caf\\udce9.png' is not UTF-8"),
    "Korean names in a .zip without the flag": (korean_in_a_zip, "is not UTF-8"),
    "Microsoft's cats and dogs": (zip_with_a_readme, (["Cat", "Dog"], 20)),
    "a .tar with hard links": (tar_with_hard_links, (["cat", "dog"], 21)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_people_bring_is_read_or_refused_in_one_line(name, clone):
    make, expected = CASES[name]
    make(clone.path)
    ended = clone.run("python", "-m", "stages.prepare", check=False)
    if isinstance(expected, str):
        assert ended.returncode == 1
        (line,) = ended.stderr.strip().splitlines()
        assert expected.replace(r"\\", "\\") in line
    else:
        assert ended.returncode == 0, ended.stderr
        about = json.loads((clone.path / "data/prepared/prepared.json").read_text())
        assert (about["class_names"], sum(about["rows"].values())) == expected


def test_pictures_added_to_dvc_as_the_readme_says_are_seen_and_shared(clone):
    pics(clone.path, "data/pictures/cat", "data/pictures/dog")
    clone.edit(**{"data.path": "data/pictures"})
    clone.run("dvc", "add", "data/pictures")
    clone.run("git", "add", "data/pictures.dvc", "params.yaml")
    clone.run("git", "commit", "--quiet", "-m", "pictures")
    assert clone.repro("prepare") == ["prepare"]
    assert clone.repro("prepare") == []
    clone.run("dvc", "exp", "run", "--temp", "--set-param", "data.split_seed=1", "prepare")
    (clone.path / "data/pictures/cat/new.png").write_bytes(pictures(60)[0])
    assert clone.repro("prepare") == ["prepare"]


def test_a_changed_link_target_is_noticed(clone):
    pics(clone.path, "p/cat", "p/dog", "disk")
    (clone.path / "p/cat/far.png").symlink_to(clone.path / "disk/0.png")
    assert clone.repro("prepare") == ["prepare"]
    (clone.path / "disk/0.png").write_bytes(pictures(50)[0])
    assert clone.repro("prepare") == ["prepare"]


def test_without_git_or_with_a_home_folder_one_line_comes_before_the_work(clone):
    clone.edit(**{"data.path": "~/pics"})
    said = clone.run("python", "-m", "fitgap.programs.preflight", check=False).stderr
    assert "data.path: '~/pics': DVC does not expand ~" in said
    subprocess.run(["rm", "-rf", str(clone.path / ".git")], check=True)
    said = clone.run("python", "-m", "fitgap.programs.preflight", check=False).stderr
    assert "not a Git repository, which DVC needs; run `git init`" in said
