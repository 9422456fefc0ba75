"""Test concurrent experiments in one repository: all succeed and log to the original repository's store."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request

import mlflow
import pytest
from conftest import cloned

ROUNDS = int(os.environ.get("FITGAP_ROUNDS", "1"))
PATIENCE = 300  # seconds


def experiments(clone) -> dict[str | None, str]:
    """Return the status of the single run of `prepare` by DVC experiment, or by None for runs outside of one."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{clone.path / 'mlflow.db'}")
    (found,) = [one for one in client.search_experiments() if one.name == "fitgap"]
    runs = client.search_runs([found.experiment_id], "tags.stage = 'prepare'")
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


@contextlib.contextmanager
def ui(clone):
    """Run `mlflow ui` on the clone's store, as `make ui` does, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=clone.path, env=clone.environment, start_new_session=True, **quiet)
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            time.sleep(0.5)
        yield
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_four_queued_experiments_on_a_fresh_repository(number, repository, tmp_path):
    clone = cloned(repository, tmp_path / "clone")
    clone.run("dvc", "exp", "run", "--queue", "--name", "e", "--set-param", "data.split_seed=1,2,3,4", "prepare")
    clone.run("dvc", "queue", "start", "--jobs", "4")
    said = wait_for_the_queue(clone)
    assert said.count("Success") == 4, said
    assert experiments(clone) == dict.fromkeys(["e-1", "e-2", "e-3", "e-4"], "FINISHED")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_temporary_experiments_at_once_while_the_ui_is_open(number, repository, tmp_path):
    clone = cloned(repository, tmp_path / "clone")
    clone.run("dvc", "repro", "prepare")
    run = ["dvc", "--wait-for-lock", "exp", "run", "--temp"]  # DVC gives up after 3 s else; slow machines need more
    with ui(clone):
        started = [
            subprocess.Popen(
                [*run, "--name", name, "--set-param", f"data.split_seed={seed}", "prepare"],
                cwd=clone.path,
                env=clone.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for name, seed in (("one", 1), ("two", 2))
        ]
        said = [process.communicate(timeout=PATIENCE)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert experiments(clone) == {"one": "FINISHED", "two": "FINISHED", None: "FINISHED"}
