"""A stage that cannot go on says why in one line; one whose inputs moved does not count."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from fitgap.lifecycle import explain
from fitgap.pipeline.inputs import check_unchanged, read_state
from fitgap.system.errors import UserError

PROGRAM = """
from pathlib import Path
from fitgap import lifecycle

def main():
    {body}

lifecycle.run(main)
"""
PIPELINE = """
stages:
  walk:
    cmd: python walk.py
    deps: [walk.py, data, "${data.path}"]
    params: [steps.first]
"""
PARAMS = "steps: {first: 2, second: 3}\ndata: {path: pictures}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository with one stage as the current folder."""
    files = {"data/images.npy": "images", "pictures/a.png": "a", "dvc.yaml": PIPELINE, "params.yaml": PARAMS}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, repository):
    def run(body: str, limits=None) -> subprocess.CompletedProcess:
        (folder / "walk.py").write_text(PROGRAM.format(body=body))
        options = {"env": {**os.environ, "PYTHONPATH": str(repository)}, "preexec_fn": limits}
        return subprocess.run([sys.executable, "walk.py"], capture_output=True, text=True, check=False, **options)

    return run


def test_outputs_behind_a_link_are_refused_before_the_work(folder, run, tmp_path):
    (tmp_path / "disk").mkdir()
    (folder / "models").symlink_to(tmp_path / "disk")
    ended = run("Path('worked').touch()")
    assert ended.returncode == 1 and not (folder / "worked").exists()
    assert "models: a link, behind which DVC keeps no outputs; put a folder in its place" in ended.stderr


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("params.yaml", PARAMS.replace("first: 2", "first: 9"), "params.yaml: steps.first"),
        ("data/images.npy", "others", "data/images.npy"),
        ("pictures/new.png", "new", "pictures/new.png"),
        ("walk.py", "new", "walk.py"),
    ],
)
def test_input_that_changes_meanwhile_is_named(folder, name, text, changed):
    before = read_state("walk")
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=f"^{changed}: changed while walk was running"):
        check_unchanged("walk", before)


def test_what_a_stage_does_not_read_may_change(folder):
    before = read_state("walk")
    (folder / "params.yaml").write_text(PARAMS.replace("second: 3", "second: 9"))
    (folder / "data/__pycache__").mkdir()
    (folder / "data/__pycache__/x.pyc").write_text("x")
    check_unchanged("walk", before)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "data/images.npy"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "results"), "cannot be written"),
        (PermissionError(errno.EACCES, "Permission denied", "results"), "read and write permission"),
        (FileNotFoundError(errno.ENOENT, "", "data/prepared.json"), "first runs the stages that write it"),
        (MemoryError(), "not enough memory"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM when allocating\ntensor"), "OOM when allocating tensor"),
    ],
)
def test_what_the_machine_lacks_is_explained_in_one_line(error, reason):
    assert reason in explain(error)
    assert "\n" not in explain(error)


def test_other_errors_are_not_explained():
    assert explain(OSError(errno.EPIPE, "Broken pipe")) is None
    assert explain(ValueError("x")) is None


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("pass", ""),
        ("Path('data/images.npy').write_text('others')", "fitgap: data/images.npy: changed while walk was running"),
        ("raise OSError(28, 'No space left on device')", "fitgap: walk: [Errno 28] No space left on device; the "),
    ],
)
def test_stage_ends_with_status_and_line(run, body, line):
    ended = run(body)
    assert (ended.returncode, ended.stderr.count("\n")) == ((1, 1) if line else (0, 0))
    assert ended.stderr.startswith(line)


def test_disk_that_fills_up_leaves_nothing_that_looks_whole(run, folder):
    ended = run(
        "from fitgap.system.files import fresh_folder\n"
        "    with fresh_folder(Path('data/features')) as folder: (folder / 'x.npy').write_bytes(bytes(10**7))",
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6)),
    )
    assert "exceeds the size limit" in ended.stderr
    assert [path.name for path in (folder / "data").iterdir()] == ["images.npy"]


def test_programming_error_keeps_its_traceback(run):
    assert "Traceback" in run("1 / 0").stderr
