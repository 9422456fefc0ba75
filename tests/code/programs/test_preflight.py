"""What is missing, or cannot work, is said in one line before any work starts."""

import os
import subprocess
import sys

import pytest
import synthetic_results as synthetic

from fitgap.data.record import Record, Result
from fitgap.params import reading
from fitgap.programs import preflight
from fitgap.system.errors import UserError
from fitgap.system.repository import check_name


@pytest.fixture
def check(repository, tmp_path, monkeypatch):
    """Check a folder of pictures of one's own, in an empty Git repository."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    tree = reading.read_tree(repository / "params.yaml")

    def checked(path: str) -> None:
        tree["data"] |= {"source": "directory", "path": path}
        preflight.check(reading.validate(tree, "params.yaml"))

    return checked


def test_a_folder_that_is_there_is_accepted(check, tmp_path):
    (tmp_path / "data/pictures").mkdir(parents=True)
    check("data/pictures")


def test_a_path_that_nothing_uses_is_named_if_it_is_missing(check, tmp_path, repository):
    tree = reading.read_tree(repository / "params.yaml")
    tree["backbone"]["path"] = "data/weights"
    with pytest.raises(UserError, match="backbone.path: 'data/weights': not found, and not used; write data/README.md"):
        preflight.check(reading.validate(tree, "params.yaml"))
    (tmp_path / "data/weights").mkdir(parents=True)
    preflight.check(reading.validate(tree, "params.yaml"))


def test_a_home_folder_is_not_expanded_by_dvc(check, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pics").mkdir()
    with pytest.raises(UserError, match="data.path: '~/pics': DVC does not expand ~; write '/.*/pics'"):
        check("~/pics")


@pytest.mark.parametrize("path", [".", "data", "data/prepared", "results/mine"])
def test_pictures_cannot_stand_where_the_pipeline_writes(check, path):
    with pytest.raises(UserError, match=f"data.path: '{path}': fitgap writes its own files there"):
        check(path)


def test_without_a_git_repository_the_way_out_is_named(tmp_path):
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    preflight.check_repository(tmp_path)
    (tmp_path / ".dvc/config").write_text("")
    with pytest.raises(UserError, match="not a Git repository.*git init"):
        preflight.check_repository(tmp_path)
    (tmp_path / ".git").mkdir()
    preflight.check_repository(tmp_path)


def test_folder_whose_name_dvc_or_mlflow_cannot_store_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"caf\\xe9: this folder's name is not UTF-8, which DVC cannot store; rename"):
        check_name(tmp_path / os.fsdecode(b"caf\xe9"))
    for name in ("100% done", "a?b"):
        with pytest.raises(UserError, match="cannot work in a folder with % or .*; rename the folder"):
            check_name(tmp_path / name)
    check_name(tmp_path / 'b#c it\'s "x" 한국')


def test_a_source_without_a_path_of_ones_own_is_named_before_the_work(check):
    with pytest.raises(UserError, match="data.path: 'data/README.md': names no files of your own; .* data/pictures"):
        check("data/README.md")


def test_a_size_of_the_learning_curve_that_cannot_be_drawn_is_refused_before_the_work(tmp_path, monkeypatch):
    """150 of 400 images are for validation; without prepared images, or with those of other params, none is known."""
    prepared, result = tmp_path / "data/prepared", tmp_path / "results/prepare"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight, "read_prepared", lambda folder: synthetic.prepared())
    params = synthetic.params(**{"learning_curve.sizes": [20, 300], "data.validation_images": 150})
    preflight.check_sizes(params)
    for folder in (prepared, result):
        folder.mkdir(parents=True)
    Result(Record("prepare", None, params.section_params("data"), {}, measured={})).write(result)
    with pytest.raises(UserError, match="learning_curve.sizes .*: 300 . 150: at most 400 of the 400"):
        preflight.check_sizes(params)
    preflight.check_sizes(params.model_copy(update={"data": params.data.model_copy(update={"split_seed": 7})}))
