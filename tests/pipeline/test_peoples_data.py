"""Test what people bring, through DVC: pictures that it tracks, links that it does not follow, paths that it cannot."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import Clone, cloned
from PIL import Image

OWN = {"data.source": "directory", "data.train_images": 8, "data.validation_images": 8, "data.pool_images": "all"}


@pytest.fixture
def clone(repository, tmp_path) -> Clone:
    made = cloned(repository, tmp_path / "clone")
    made.edit(**OWN, **{"data.path": "p", "data.test_images": 4, "learning_curve.sizes": []})
    return made


def pictures(seed: int, count: int = 10) -> list[bytes]:
    random, files = np.random.default_rng(seed), []
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "PNG")
        files.append(file.getvalue())
    return files


def pics(top: Path, *folders: str) -> None:
    """Write ten pictures into each of these folders."""
    for number, folder in enumerate(folders):
        (top / folder).mkdir(parents=True)
        for i, content in enumerate(pictures(number)):
            (top / folder / f"{i}.png").write_bytes(content)


def test_an_archive_is_read_and_a_link_to_a_folder_is_refused_in_one_line(clone):
    with zipfile.ZipFile(clone.path / "p", "w") as archive:  # as Microsoft packs its cats and dogs
        archive.writestr("readme[1].txt", "read me")
        for label, name in enumerate(("Cat", "Dog")):
            for i, content in enumerate(pictures(label)):
                archive.writestr(f"PetImages/{name}/{i}.png", content)
    clone.run("python", "-m", "stages.prepare")
    about = json.loads((clone.path / "data/prepared/prepared.json").read_text())
    assert (about["class_names"], sum(about["rows"].values())) == (["Cat", "Dog"], 20)
    (clone.path / "p").unlink()
    pics(clone.path, "p/cat", "disk/dog")
    (clone.path / "p/dog").symlink_to(clone.path / "disk/dog")
    ended = clone.run("python", "-m", "stages.prepare", check=False)
    (line,) = ended.stderr.strip().splitlines()
    assert ended.returncode == 1
    assert "p/dog: a link to the folder" in line


@pytest.mark.slow
def test_pictures_added_to_dvc_as_the_readme_says_are_seen_and_shared(clone):
    pics(clone.path, "data/pictures/cat", "data/pictures/dog", "disk")
    (clone.path / "data/pictures/cat/far.png").symlink_to(clone.path / "disk/0.png")
    clone.edit(**{"data.path": "data/pictures"})
    assert clone.repro("prepare") == ["prepare"]
    (clone.path / "disk/0.png").write_bytes(pictures(50)[0])  # the target of a link has changed
    assert clone.repro("prepare") == ["prepare"]
    clone.run("dvc", "add", "data/pictures")
    clone.run("git", "add", "data/pictures.dvc", "params.yaml")
    clone.run("git", "commit", "--quiet", "-m", "pictures")
    clone.run("dvc", "exp", "run", "--temp", "--set-param", "data.split_seed=1", "prepare")


def test_without_git_or_with_a_home_folder_one_line_comes_before_the_work(clone):
    clone.edit(**{"data.path": "~/pics"})
    said = clone.run("python", "-m", "fitgap.programs.preflight", check=False).stderr
    assert "data.path: '~/pics': DVC does not expand ~" in said
    subprocess.run(["rm", "-rf", str(clone.path / ".git")], check=True)
    said = clone.run("python", "-m", "fitgap.programs.preflight", check=False).stderr
    assert "not a Git repository, which DVC needs; run `git init`" in said
