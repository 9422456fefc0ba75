"""A stage that cannot go on says why in one line; one whose inputs moved does not count."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fitgap.lifecycle import explain

PROGRAM = """
import errno
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
    params: [pace, "steps.first"]
"""
PARAMS = "pace: 1\nsteps: {first: 2, second: 3}\ndata: {path: pictures}\n"


@pytest.fixture
def run(tmp_path, repository):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images.npy").write_text("images")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMS)

    def run(body: str, limits=None) -> subprocess.CompletedProcess:
        (tmp_path / "walk.py").write_text(PROGRAM.format(body=body))
        options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(repository)}, "preexec_fn": limits}
        return subprocess.run([sys.executable, "walk.py"], capture_output=True, text=True, check=False, **options)

    return run


# (what happens while the stage runs, what it is told of)
EDIT = 'path = Path("params.yaml"); path.write_text(path.read_text().replace({!r}, {!r}))'
MOVES = [
    (EDIT.format("pace: 1", "pace: 9"), "params.yaml: pace"),
    (EDIT.format("first: 2", "first: 9"), "params.yaml: steps.first"),
    ('Path("data/images.npy").write_text("others")', "data/images.npy"),
    ('Path("data/images.npy").unlink()', "data/images.npy"),
    ('Path("pictures/new.png").write_text("new")', "pictures/new.png"),
    ('Path("walk.py").write_text("")', "walk.py"),
]


@pytest.mark.parametrize(("body", "told"), MOVES)
def test_input_that_moves_meanwhile_fails_the_stage_in_one_line(run, body, told):
    ended = run(body)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "changed while walk was running" in ended.stderr
    assert ended.stderr.count("\n") == 1


STILL = [
    "pass",
    EDIT.format("second: 3", "second: 9"),
    'Path("results").mkdir()',
    'Path("data/__pycache__").mkdir(); Path("data/__pycache__/x.pyc").write_text("x")',
]


@pytest.mark.parametrize("body", STILL)
def test_what_it_does_not_read_may_move(run, body):
    ended = run(body)
    assert (ended.returncode, ended.stderr) == (0, "")


# (what goes wrong, what the one line tells)
LACKS = [
    ("raise OSError(errno.ENOSPC, 'No space left on device', 'data/images.npy')", "the disk is full"),
    ("raise OSError(errno.EROFS, 'Read-only file system', 'results')", "cannot be written"),
    ("raise PermissionError(errno.EACCES, 'Permission denied', 'results')", "read and write permission"),
    ("Path('data/prepared.json').read_text()", "`dvc repro` first runs the stages that write it"),
    ("raise MemoryError", "not enough memory"),
    ("raise type('ResourceExhaustedError', (Exception,), dict())('OOM when allocating\\ntensor')", "OOM when"),
]


@pytest.mark.parametrize(("body", "told"), LACKS)
def test_what_the_machine_lacks_is_told_in_one_line(run, body, told):
    ended = run(body)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert ended.stderr.startswith("fitgap: walk: ")
    assert ended.stderr.count("\n") == 1


def test_full_disk_is_told_of_by_a_real_one(run):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    ended = run("open('/dev/full', 'wb', buffering=0).write(b'x')")
    assert "the disk is full" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_disk_that_fills_up_leaves_nothing_that_looks_whole(run, tmp_path):
    ended = run(
        "from fitgap.system.files import fresh_folder\n"
        "    with fresh_folder(Path('data/features')) as folder: (folder / 'x.npy').write_bytes(bytes(10**7))",
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6)),
    )
    assert ended.returncode == 1
    assert "exceeds the size limit" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["images.npy"]


def test_programming_error_keeps_its_traceback(run):
    ended = run("1 / 0")
    assert "ZeroDivisionError" in ended.stderr
    assert "Traceback" in ended.stderr


def test_other_errors_of_the_system_are_none_of_the_machines(tmp_path):
    assert explain(OSError(errno.EPIPE, "Broken pipe")) is None
    assert explain(ValueError("x")) is None
