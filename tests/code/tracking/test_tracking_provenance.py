"""Test the code provenance recorded in a run."""

import subprocess

import pytest

from fitgap.tracking.projection import provenance_tags


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    git("init")
    for name in ("params.yaml", "dvc.lock"):
        (tmp_path / name).write_text("seeds: [0]\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "First")
    return tmp_path


def test_an_edited_file_makes_it_dirty_and_dvc_lock_and_untracked_files_do_not(repository):
    (repository / "untracked.txt").touch()
    (repository / "dvc.lock").write_text("changed: true\n", encoding="utf-8")
    tags = provenance_tags("scratch")
    assert tags["git_revision"] == tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert tags["git_dirty"] == "false"
    (repository / "params.yaml").write_text("seeds: [1]\n", encoding="utf-8")
    assert provenance_tags("scratch")["git_dirty"] == "true"


def test_without_commits_repository_or_git_tags_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "git_dirty" not in provenance_tags("scratch")
    git("init")
    assert "git_revision" not in provenance_tags("scratch")
    monkeypatch.setenv("PATH", "")
    assert "git_dirty" not in provenance_tags("scratch")


def test_name_of_the_dvc_experiment(repository, monkeypatch):
    assert "dvc_experiment" not in provenance_tags("scratch")
    monkeypatch.setenv("DVC_EXP_NAME", "round-kale")
    assert provenance_tags("scratch")["dvc_experiment"] == "round-kale"
