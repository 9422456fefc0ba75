"""Which pictures are read from files, folders and archives that a user names, and what is said of the others."""

import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from fitgap.images.decoding import decode
from fitgap.prediction.predictor import read_pictures

SIZE = 32


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with pictures and other files, beside which the test runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("scans/a.png", "scans/deep/b.JPG", "scans/deep/c.webp", "scans/.hidden/d.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (9, 11, 3), np.uint8)).save(path)
    (tmp_path / "scans/labels.csv").write_text("a,1")
    (tmp_path / "scans/broken.png").write_bytes(b"no picture")
    return tmp_path


def read(*paths):
    """Give what can be used, name -> pixels, and what cannot, name -> reason."""
    pictures = list(read_pictures(paths, SIZE))
    usable = {picture.name: picture.pixels for picture in pictures if picture.pixels is not None}
    return usable, {picture.name: picture.reason for picture in pictures if picture.pixels is None}


def test_a_folder_is_read_at_any_depth(folder):
    usable, unusable = read("scans")
    assert list(usable) == ["scans/a.png", "scans/deep/b.JPG", "scans/deep/c.webp"]
    assert list(unusable) == ["scans/broken.png"] and "not a picture in JPEG, PNG" in unusable["scans/broken.png"]
    for name, pixels in usable.items():
        np.testing.assert_array_equal(pixels, decode((folder / name).read_bytes(), SIZE))


@pytest.mark.parametrize("name", ["scans.zip", "scans.tar.gz", "scans.data"])
def test_archives_are_read_like_folders(folder, name):
    if name.endswith(".tar.gz"):
        with tarfile.open(name, "w:gz") as archive:
            archive.add("scans")
    else:
        with zipfile.ZipFile(name, "w") as archive:
            for path in sorted(folder.glob("scans/**/*.*")):
                archive.write(path, path.relative_to(folder))
    usable, unusable = read(name)
    assert sorted(usable) == [f"{name}/scans/{file}" for file in ("a.png", "deep/b.JPG", "deep/c.webp")]
    assert list(unusable) == [f"{name}/scans/broken.png"]


def test_a_file_that_is_named_is_read_whatever_its_name(folder):
    shutil.copy("scans/a.png", "scan")
    usable, unusable = read("scan", folder / "scans/.hidden/d.png", "scans/labels.csv")
    assert list(usable) == ["scan", str(folder / "scans/.hidden/d.png")]
    assert list(unusable) == ["scans/labels.csv"]


def test_a_path_that_cannot_be_used_does_not_stop_the_others(folder):
    (folder / "empty").mkdir()
    (folder / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    os.mkfifo(folder / "pipe")
    (folder / "linked").mkdir()
    (folder / "linked/away").symlink_to(folder / "scans")
    usable, unusable = read("nothing.png", "empty", "cut.zip", "pipe", "linked", "scans/a.png")
    assert list(usable) == ["scans/a.png"]
    assert unusable["nothing.png"].startswith("not found")
    assert unusable["empty"].startswith("holds no picture; files that are read end in .jpg")
    assert "not a picture" in unusable["cut.zip"]
    assert unusable["pipe"] == "neither a file nor a folder"
    assert "linked/away: a link to the folder" in unusable["linked"]
    assert not any("params.yaml" in reason or "\n" in reason for reason in unusable.values())
