"""Test concurrent experiments in one repository: all succeed and log to the original repository's store."""

import os
import subprocess
import time

import pytest
from conftest import cloned
from servers import Server

ROUNDS = int(os.environ.get("FITGAP_ROUNDS", "1"))
PATIENCE = 300  # seconds


def experiments(clone) -> dict[str | None, str]:
    """Return the status of the single run of `prepare` by DVC experiment, or by None for runs outside of one."""
    runs = clone.store.search_runs(["1"], "tags.stage = 'prepare'")
    names = [run.data.tags.get("dvc_experiment") for run in runs]
    assert len(names) == len(set(names))
    return dict(zip(names, (run.info.status for run in runs), strict=True))


def wait_for_the_queue(clone) -> str:
    """Wait until nothing is queued or running; give what `dvc queue status` says then."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = clone.run("dvc", "queue", "status").stdout
        if "Queued" not in said and "Running" not in said:
            return said
        time.sleep(1)
    raise AssertionError(f"the queue has not ended after {PATIENCE} s:\n{said}")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_four_queued_experiments_on_a_fresh_repository(number, repository, tmp_path):
    clone = cloned(repository, tmp_path / "clone")
    clone.run("dvc", "exp", "run", "--queue", "--name", "e", "--set-param", "data.split_seed=1,2,3,4", "prepare")
    clone.run("dvc", "queue", "start", "--jobs", "4")
    said = wait_for_the_queue(clone)
    assert said.count("Success") == 4, said
    assert experiments(clone) == dict.fromkeys(["e-1", "e-2", "e-3", "e-4"], "FINISHED")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_temporary_experiments_at_once_while_the_ui_is_open(number, repository, tmp_path):
    clone = cloned(repository, tmp_path / "clone")
    clone.run("dvc", "repro", "prepare")
    run = ["dvc", "--wait-for-lock", "exp", "run", "--temp"]  # DVC gives up after 3 s else; slow machines need more
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    options = {"cwd": clone.path, "env": clone.environment, **pipes}
    with Server(clone.path):  # as `make ui` does
        started = [
            subprocess.Popen([*run, "--name", name, "--set-param", f"data.split_seed={seed}", "prepare"], **options)
            for name, seed in (("one", 1), ("two", 2))
        ]
        said = [process.communicate(timeout=PATIENCE)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert experiments(clone) == {"one": "FINISHED", "two": "FINISHED", None: "FINISHED"}
