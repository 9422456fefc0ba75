"""Test that kills, another place, hostile settings and sequential runs change neither outputs nor MLflow runs.

The reference is the first, undisturbed run with several stages at a time. tests/code/pipeline/test_checkpoints.py and
tests/code/test_lifecycle.py are the quick siblings.
"""

import json
import os
import random
import signal
import subprocess
import time

import chaos
import pytest
from conftest import cloned
from odd_variables import ODD
from stores import contents

pytestmark = pytest.mark.slow
ELSEWHERE = ODD | {
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "default",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "COLUMNS": "40",
}
KERAS = {"floatx": "float64", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"}


@pytest.fixture(scope="module")
def stormy(repository, tmp_path_factory):
    """One stage after the other; another folder, another environment; killed while it trains, and thrice more."""
    folder = tmp_path_factory.mktemp("stormy")
    made = cloned(repository, folder / "it's 한국 with blanks")
    (folder / "keras.json").write_text(json.dumps(KERAS))
    made.variables.update(ELSEWHERE, KERAS_HOME=str(folder))
    before = os.umask(0o077)
    try:
        kill_once_seed_0_is_kept(made)
        chaos.disturbed(made, random.Random(0), kills=3)
    finally:
        os.umask(before)
    return made


def kill_once_seed_0_is_kept(clone) -> None:
    process = subprocess.Popen(["dvc", "repro"], cwd=clone.path, env=clone.environment, start_new_session=True)
    end = time.monotonic() + 300
    while not list(clone.path.glob("checkpoints/scratch@baseline-*/seed-0.pickle")):
        assert process.poll() is None, "the pipeline ended before the moment to kill it"
        assert time.monotonic() < end
        time.sleep(0.02)
    chaos.end_group(process, signal.SIGKILL)


def test_every_output_has_the_same_bytes(first, stormy):
    assert chaos.locked(stormy) == chaos.locked(first)


def test_mlflow_holds_the_same_finished_runs(first, stormy):
    there = contents(stormy.path / "mlflow.db")
    assert chaos.differences(contents(first.path / "mlflow.db"), there) == []
    assert {status for _, status, *_ in there} == {"FINISHED"}


def test_nothing_incomplete_is_left_and_nothing_to_do(stormy):
    assert list(stormy.path.glob("checkpoints/*")) == []
    assert [path for path in stormy.path.rglob(".*.partial") if ".dvc" not in path.parts] == []
    assert stormy.repro() == []


def test_edit_during_a_run_fails_the_stage_and_the_next_run_is_right(stormy):
    stormy.edit(**{"scratch.epochs": 4})
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    command = ["dvc", "repro", "scratch@baseline"]
    process = subprocess.Popen(command, cwd=stormy.path, env=stormy.environment, **pipes)
    while not list(stormy.path.glob("checkpoints/scratch@baseline-*")):
        assert process.poll() is None, "the pipeline ended before the moment to edit params.yaml"
        time.sleep(0.02)
    stormy.edit(**{"scratch.epochs": 1})
    said = process.communicate()[1]
    assert process.returncode != 0
    assert "fitgap: params.yaml: scratch: changed while scratch@baseline was running" in said
    assert stormy.repro("scratch@baseline") == ["scratch@baseline"]
    record = json.loads((stormy.path / "results/scratch/baseline/record.json").read_text())
    assert record["params"]["epochs"] == 1
    assert record["seeds"][0]["epochs_to_best"] == 1
