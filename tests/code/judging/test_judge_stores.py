"""`fitgap judge` on MLflow stores that other trainers wrote, and on what is wrong with them."""

import json
import re
import subprocess
import sys

import numpy as np
import other_trainers
import pandas as pd
import pytest
import trial_servers
from mlflow import MlflowClient

from fitgap.judging import judge_runs, write_back
from fitgap.system.errors import UserError


@pytest.fixture(scope="module")
def values():
    return other_trainers.train()


@pytest.fixture(scope="module")
def store(values, tmp_path_factory):
    """A store with a parent run of means for each contestant; do not modify it."""
    path = tmp_path_factory.mktemp("store") / "runs.db"
    other_trainers.log(f"sqlite:///{path}", values, with_parents=True)
    return path


@pytest.fixture
def empty(tmp_path):
    """A store of its own: client, id of its experiment, and address."""
    address = f"sqlite:///{tmp_path / 'own.db'}"
    client = MlflowClient(address)
    return client, client.create_experiment("own", artifact_location=str(tmp_path / "files")), address


def test_the_same_as_from_a_table(store, values, tmp_path):
    judgement = judge_runs(str(store), metric="val_accuracy", reference="centroid", margin=0.02)
    table = pd.DataFrame(values).rename_axis("seed").reset_index()
    table.to_csv(tmp_path / "wide.csv", index=False)
    same = judge_runs(str(tmp_path / "wide.csv"), reference="centroid", margin=0.02)
    numbers = ["statement", "verdict", "estimate", "ci_low", "ci_high", "win_rate", "n", "seeds_needed"]
    pd.testing.assert_frame_equal(judgement.table[numbers], same.table[numbers])
    assert len(judgement.table) == len(values) - 1 and judgement.table["n"].eq(10).all()


def test_guesses_are_told_and_parents_left_out(store, values):
    notes = judge_runs(str(store), metric="val_accuracy").notes
    assert "guessed: --contestant params.model" in notes and "guessed: --repetition params.seed" in notes
    assert f"left out: {len(values)} runs without params.model, params.seed, metrics.val_accuracy" in notes


def test_parents_with_a_seed_of_their_own_are_left_out(empty, values):
    client, experiment, address = empty
    for name, own in values.items():
        parent = other_trainers.log_run(client, experiment, name, 99, 0.5)
        for seed, value in enumerate(own):
            other_trainers.log_run(client, experiment, name, seed, value, parent)
    judgement = judge_runs(address, metric="val_accuracy")
    assert f"left out: {len(values)} parents of other runs" in judgement.notes
    assert {len(own) for own in judgement.scores.values.values()} == {10}


def test_runs_that_failed_or_were_repeated_are_told(empty):
    client, experiment, address = empty
    for name, shift in (("one", 0.0), ("two", 0.1)):
        for seed in range(5):
            other_trainers.log_run(client, experiment, name, seed, 0.5 + shift + seed / 100)
    other_trainers.log_run(client, experiment, "one", 5, 0.1, status="FAILED")
    other_trainers.log_run(client, experiment, "one", 0, 0.45)
    judgement = judge_runs(address, metric="val_accuracy")
    assert "1 runs that did not finish (1 FAILED)" in judgement.notes
    assert "left out: 1 runs repeat a repetition, the first: one, 0; the last counts" in judgement.notes
    assert judgement.scores.values["one"]["0"] == 0.45


def test_a_run_without_the_metric_is_not_dropped_in_silence(empty):
    client, experiment, address = empty
    for name in ("one", "two"):
        for seed in range(5):
            diverged = name == "one" and seed == 2
            other_trainers.log_run(client, experiment, name, seed, None if diverged else 0.5 + seed / 100)
    with pytest.raises(UserError, match="needs two contestants.* one has no finite value in 1 of 5 runs"):
        judge_runs(address, metric="val_accuracy", reference="two")


def test_through_a_server(store, values, tmp_path):
    port = trial_servers.free_port()
    running = trial_servers.start_tracking_server(tmp_path, f"sqlite:///{tmp_path / 'runs.db'}", port)
    try:
        address = f"http://127.0.0.1:{port}"
        other_trainers.log(address, values)
        served = judge_runs(address, metric="val_accuracy", reference="centroid")
        assert MlflowClient(address).get_run(write_back.log_judgement(served)).info.status == "FINISHED"
    finally:
        trial_servers.stop_group(running)
    assert served.table.equals(judge_runs(str(store), metric="val_accuracy", reference="centroid").table)


def test_verdicts_are_written_back(tmp_path, values):
    address = f"sqlite:///{tmp_path / 'runs.db'}"
    client = MlflowClient(address)
    client.create_experiment("digits", artifact_location=str(tmp_path / "files"))
    ids = other_trainers.log(address, values, with_parents=True)
    judgement = judge_runs(address, metric="val_accuracy", reference="centroid")
    run = client.get_run(write_back.log_judgement(judgement))
    assert run.info.status == "FINISHED" and run.data.params["reference"] == "centroid"
    assert run.data.tags["mlflow.note.content"].startswith("Best: neighbours, ")
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"verdicts.html", "verdicts.json"}
    parent = client.get_run(ids["neighbours"][-1])
    assert parent.data.tags["fitgap.verdict.val_accuracy"] == "neighbours is better than centroid: supported"
    again = judge_runs(address, metric="val_accuracy", reference="centroid")
    assert again.table.equals(judgement.table) and again.notes == judgement.notes


def test_wrong_stores(store, tmp_path, empty):
    client, _, address = empty
    other = client.create_experiment("gone")
    client.delete_experiment(other)
    (tmp_path / "empty.db").touch()
    cases = {
        ("nowhere.db", None): "nowhere.db: not found",
        (str(tmp_path / "empty.db"), None): "no database of MLflow",
        (str(tmp_path), None): "`mlflow migrate-filestore` makes one of a folder of runs",
        (f"sqlite:///{tmp_path}/typo.db", None): "no database of MLflow",
        (address, "gone"): f"it is deleted; `mlflow experiments restore --experiment-id {other}`",
        (address, "own"): "no finished runs",
        (address, "none"): "--experiment none: there is none; there are: Default, own",
        (address, None): "--experiment NAME: name one; there are: none with runs",
        ("http://127.0.0.1:9", None): "the store does not answer",
    }
    for (source, name), expected in cases.items():
        with pytest.raises(UserError, match=re.escape(expected)) as refused:
            judge_runs(source, experiment=name)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "typo.db").exists()
    with pytest.raises(UserError, match="--metric: name the measurement to compare"):
        judge_runs(str(store), repetition=["seed"])
    with pytest.raises(UserError, match="--repetition sed: no such column; there are: params.model"):
        judge_runs(str(store), repetition=["sed"])


def test_the_example_of_the_page(repository, tmp_path):
    page = (repository / "docs/judge.md").read_text(encoding="utf-8")
    script = re.search(r"```python\n(import mlflow\n.*?)```", page, re.DOTALL)[1]
    (tmp_path / "train.py").write_text(script.replace("range(10)", "range(4)"), encoding="utf-8")
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True, capture_output=True)
    command = re.search(r"`fitgap judge (runs\.db [^`]*)`", page)[1].split()
    program = [sys.executable, "-m", "fitgap.programs.judge", *command, "--json", "verdicts.json"]
    done = subprocess.run(
        program, cwd=tmp_path, env={"PYTHONPATH": str(repository), "PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "verdicts.json").read_text())
    assert [entry["models"][1] for entry in told["against_reference"]] == ["logistic", "logistic"]
    assert np.isclose(told["margin"], 0.01) and (tmp_path / "verdicts.html").exists()
