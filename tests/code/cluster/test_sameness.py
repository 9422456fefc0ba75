"""Test how two machines are compared."""

import os

import pytest

from fitgap.cluster import sameness


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository with one stage, in which `describe_here` looks."""
    for name in ("fitgap/a.py", "stages/prepare.py", "data/images.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "params.yaml").write_text("data: {size: 3}\n")
    (tmp_path / "dvc.yaml").write_text("stages: {prepare: {cmd: x, deps: [data/images.npy], params: [data.size]}}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(path):
    os.utime(path, (1, 1))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fitgap/a.py", lambda path: path.write_text("other")),
        ("data/images.npy", touch),
        ("params.yaml", lambda path: path.write_text("data: {size: 4}\n")),
    ],
)
def test_what_decides_a_result_is_compared(folder, name, change):
    before = sameness.describe_here("prepare")
    assert sameness.difference(before, sameness.describe_here("prepare")) is None
    change(folder / name)
    assert name in sameness.difference(before, sameness.describe_here("prepare"))


def test_code_counts_by_content_only(folder):
    before = sameness.describe_here(None)
    touch(folder / "fitgap/a.py")
    (folder / "data/images.npy").write_text("other")  # data belong to a stage
    assert sameness.difference(before, sameness.describe_here(None)) is None


def test_a_file_that_one_of_them_lacks_and_another_package_are_differences(folder, monkeypatch):
    before = sameness.describe_here(None)
    (folder / "fitgap/b.py").write_text("new")
    monkeypatch.setattr(sameness, "version", lambda name: "0.0")
    found = sameness.difference(before, sameness.describe_here(None))
    assert found == f"fitgap/b.py and {len(sameness.PACKAGES)} more"
