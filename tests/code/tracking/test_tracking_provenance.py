"""Test the code provenance recorded in a run."""

import subprocess

import pytest

from fitgap.tracking import projection


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


def test_a_clean_revision(repository):
    (repository / "untracked.txt").touch()
    tags = projection.provenance_tags("scratch")
    assert tags["git_revision"] == tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert tags["git_dirty"] == "false"


def test_an_edited_file_makes_it_dirty(repository):
    (repository / "params.yaml").write_text("seeds: [1]\n", encoding="utf-8")
    assert projection.provenance_tags("scratch")["git_dirty"] == "true"


def test_the_lock_that_dvc_writes_does_not(repository):
    (repository / "dvc.lock").write_text("changed: true\n", encoding="utf-8")
    assert projection.provenance_tags("scratch")["git_dirty"] == "false"


def test_nor_does_it_in_a_subfolder_of_the_repository(repository, monkeypatch):
    project = repository / "lab"
    project.mkdir()
    (project / "dvc.lock").write_text("a: 1\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "Second")
    monkeypatch.chdir(project)
    (project / "dvc.lock").write_text("changed: true\n", encoding="utf-8")
    assert projection.provenance_tags("scratch")["git_dirty"] == "false"
    (project / "params.yaml").write_text("seeds: [1]\n", encoding="utf-8")
    git("add", "--intent-to-add", "params.yaml")
    assert projection.provenance_tags("scratch")["git_dirty"] == "true"


def test_a_repository_without_commits_has_no_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init")
    assert "git_revision" not in projection.provenance_tags("scratch")


def test_no_repository_and_no_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "git_dirty" not in projection.provenance_tags("scratch")
    monkeypatch.setenv("PATH", "")
    assert "git_dirty" not in projection.provenance_tags("scratch")


def test_the_name_of_the_dvc_experiment(repository, monkeypatch):
    assert "dvc_experiment" not in projection.provenance_tags("scratch")
    monkeypatch.setenv("DVC_EXP_NAME", "round-kale")
    assert projection.provenance_tags("scratch")["dvc_experiment"] == "round-kale"
