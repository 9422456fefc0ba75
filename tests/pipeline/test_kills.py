"""Killed at any moment, elsewhere, in another locale, one stage at a time or two: the same bytes, the same runs."""

import json
import random
import signal
import subprocess
import sys
import time

import chaos
import pytest
from conftest import cloned
from stores import contents

TINY = {
    "scratch.epochs": 2,
    "head.epochs": 2,
    "finetune.epochs": 1,
    "highrate.variants": ["baseline"],
    "variants": {"baseline": {}},
}
ELSEWHERE = {"PYTHONHASHSEED": "12345", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "COLUMNS": "40"}


def tiny(repository, folder):
    made = cloned(repository, folder)
    made.edit(**TINY)
    made.run("git", "commit", "--all", "--quiet", "-m", "tiny")
    return made


@pytest.fixture(scope="module")
def calm(repository, tmp_path_factory):
    """Undisturbed, two stages at a time, as `make repro` runs them."""
    made = tiny(repository, tmp_path_factory.mktemp("calm"))
    made.run(sys.executable, "-m", "fitgap.branches")
    return made


@pytest.fixture(scope="module")
def stormy(repository, tmp_path_factory):
    """One stage after the other; another folder, another environment; killed while it trains, and thrice more."""
    made = tiny(repository, tmp_path_factory.mktemp("stormy") / "a folder with blanks")
    made.variables.update(ELSEWHERE)
    kill_once_seed_0_is_kept(made)
    chaos.disturbed(made, random.Random(0), kills=3)
    return made


def kill_once_seed_0_is_kept(clone) -> None:
    process = subprocess.Popen(["dvc", "repro"], cwd=clone.path, env=clone.environment, start_new_session=True)
    end = time.monotonic() + 300
    while not list(clone.path.glob("checkpoints/scratch@baseline-*/seed-0.npz")):
        assert process.poll() is None, "the pipeline ended before the moment to kill it"
        assert time.monotonic() < end
        time.sleep(0.02)
    chaos.end_group(process, signal.SIGKILL)


def test_every_output_has_the_same_bytes(calm, stormy):
    assert chaos.locked(stormy) == chaos.locked(calm)


def test_mlflow_holds_the_same_runs_none_twice_and_none_unfinished(calm, stormy):
    there = contents(stormy.path / "mlflow.db")
    assert chaos.differences(contents(calm.path / "mlflow.db"), there) == []
    assert {status for _, status, *_ in there} == {"FINISHED"}


def test_nothing_half_done_is_left_behind(stormy):
    assert list(stormy.path.glob("checkpoints/*")) == []
    assert [path for path in stormy.path.rglob(".*.partial") if ".dvc" not in path.parts] == []


@pytest.mark.parametrize("name", ["calm", "stormy"])
def test_nothing_is_left_to_do(name, request):
    assert request.getfixturevalue(name).repro() == []


def test_edit_meanwhile_fails_the_stage_and_the_next_run_is_right(calm):
    calm.edit(**{"scratch.epochs": 3})
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=calm.path,
        env=calm.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not list(calm.path.glob("checkpoints/scratch@baseline-*")):
        assert process.poll() is None, "the pipeline ended before the moment to edit params.yaml"
        time.sleep(0.02)
    calm.edit(**{"scratch.epochs": 1})
    said = process.communicate()[1]
    assert process.returncode != 0
    assert "fitgap: params.yaml: scratch: changed while scratch@baseline was running" in said
    assert "scratch@baseline" in calm.repro()
    record = json.loads((calm.path / "results/scratch/baseline/record.json").read_text())
    assert record["params"]["epochs"] == 1
    assert record["seeds"][0]["epochs_to_best"] == 1
