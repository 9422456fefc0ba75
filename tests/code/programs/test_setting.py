"""Test how a setting changes params.yaml."""

import subprocess
import sys
from pathlib import Path

import pytest

from fitgap.params import reading
from fitgap.params.schema import flatten
from fitgap.programs import setting
from fitgap.programs.setting import absolute_paths, apply_changes, check_name, parse_assignment, run
from fitgap.system.errors import UserError

ROOT = Path(__file__).parents[3]
SETTINGS = sorted((ROOT / "settings").glob("*.yaml"))


@pytest.fixture
def shipped():
    return reading.read_tree(ROOT / "params.yaml")


@pytest.mark.parametrize("file", SETTINGS, ids=[path.stem for path in SETTINGS])
def test_each_shipped_setting_is_valid_and_has_a_make_target(shipped, file):
    changed = apply_changes(shipped, flatten(reading.read_tree(file)))
    assert reading.validate(changed, file).seeds
    assert f"\n{file.stem.replace('_', '-')}: install ##" in (ROOT / "Makefile").read_text()


def test_null_removes_a_variant_and_leaves_the_others(shipped):
    changed = apply_changes(shipped, dict([parse_assignment("variants.l1=null")]))
    assert set(shipped["variants"]) - set(changed["variants"]) == {"l1"}
    assert reading.validate(changed, "params.yaml").variants


def test_null_for_what_is_absent_changes_nothing(shipped):
    assert apply_changes(shipped, {"variants.mine": None}) == shipped


def test_paths_are_made_absolute_but_the_default_which_names_nothing(shipped):
    own = apply_changes(shipped, {"data.path": "data/pictures"})
    assert absolute_paths(flatten(own)) == {"data.path": str(Path.cwd() / "data/pictures")}


@pytest.mark.parametrize("name", ["..", "a/b", "", ".", "/tmp"])
def test_name_that_is_a_path_is_refused_since_its_folder_is_removed(name):
    with pytest.raises(UserError, match="no name for an experiment"):
        check_name(name)


def test_without_git_one_line_says_what_to_do(tmp_path, monkeypatch, shipped):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="Git cannot say which files to copy .*; run `git init`"):
        run("first", shipped)


def test_a_commit_is_not_needed_and_a_second_run_of_the_name_is_refused(tmp_path, monkeypatch, shipped):
    for program in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(program, cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    monkeypatch.chdir(tmp_path)
    copies = []

    def start(folder, _variables):
        copies.append(folder)
        (folder / "data/features").mkdir(parents=True)
        with pytest.raises(UserError, match="the experiment 'first' is running; wait for it, or give .* another NAME"):
            run("first", shipped)
        return subprocess.Popen(["true"])

    monkeypatch.setattr(setting, "_start_scheduler", start)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    run("first", shipped)
    assert (copies[0] / "dvc.yaml").exists() and not (copies[0] / "data/features").exists()
