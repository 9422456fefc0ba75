"""Test the MLflow runs of the first pipeline run: a projection of results/, ready for comparison."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fitgap.data.record import read_result
from fitgap.judging import judge_runs


@pytest.fixture(scope="module")
def store(first):
    return first.store


@pytest.fixture(scope="module")
def runs(store):
    """Runs by name, without those of seeds."""
    found = store.search_runs(["1"], max_results=1000)
    return {run.info.run_name: run for run in found if "mlflow.parentRunId" not in run.data.tags}


def test_every_stage_has_its_run(runs):
    others = {"prepare", "backbone", "features", "asis", "probe", "highrate@baseline", "choice", "learning_curve@20"}
    assert {*others, "report", "scratch@baseline", "head@dropout", "finetune@block5"} <= runs.keys()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_families_can_be_compared(runs):
    kinds = [runs[name] for name in ("scratch@dropout", "head@dropout", "finetune@block5")]
    shared = set.intersection(*(set(run.data.metrics) for run in kinds))
    assert {"test_accuracy", "gap_last", "gap_best", "epochs_to_best", "params_total", "seconds"} <= shared
    assert {"dropout", "learning_rate", "epochs"} <= set.intersection(*(set(run.data.params) for run in kinds))


def test_report_run_carries_the_claims_and_links_to_the_models(first, store, runs):
    run = runs["report"]
    table = json.loads(Path(store.download_artifacts(run.info.run_id, "claims_table.json")).read_text())
    assert table["columns"][:4] == ["id", "topic", "statement", "verdict"]
    assert "claims_table.json" in run.data.tags["mlflow.loggedArtifacts"]
    claims = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    estimates = {claim["id"]: claim["estimate"] for claim in claims if claim["estimate"] is not None}
    assert estimates and {name: run.data.metrics[name] for name in estimates} == pytest.approx(estimates)
    assert {"report.html", "report.md", "summary.csv"} <= {file.path for file in store.list_artifacts(run.info.run_id)}
    linked = json.loads(Path(store.download_artifacts(run.info.run_id, "runs.json")).read_text())
    assert set(first.summary.index) <= linked.keys()
    assert {name: runs[name].info.run_id for name in linked} == linked
    note = run.data.tags["mlflow.note.content"]
    assert all(f"[{name}](#/experiments/1/runs/{run_id})" in note for name, run_id in linked.items())


def test_runs_judged_from_the_store_have_the_numbers_of_the_report(first):
    columns = {"contestant": ["tags.stage", "tags.variant"], "repetition": ["tags.seed"], "metric": "gap_last"}
    judged = judge_runs(str(first.path / "mlflow.db"), **columns, reference="scratch@baseline", margin=0.1)
    (own,) = (entry for entry in judged.against if entry["models"][0] == "scratch@dropout")
    claims = json.loads((first.path / "reports/claims.json").read_text())
    (claim,) = (claim for claim in claims if claim["id"] == "dropout_gap_below_baseline")
    numbers = ("estimate", "ci_low", "ci_high", "verdict", "n", "note", "seeds_needed")
    assert [own[name] for name in numbers] == [claim[name] for name in numbers]


@pytest.mark.parametrize("name", ["scratch@dropout", "finetune@block5"])
def test_logged_model_answers_as_it_was_measured(first, store, name, monkeypatch):
    import mlflow

    folder = first.path / "results" / name.replace("@", "/")
    of_this_result = f"tags.`fitgap.fingerprint` = '{read_result(folder).fingerprint}'"
    run = next(run for run in store.search_runs(["1"], of_this_result) if "mlflow.parentRunId" not in run.data.tags)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/{run.info.run_name}")
    measured = np.load(folder / "test_probabilities.npy")[0]  # of the best epoch
    record = json.loads((folder / "record.json").read_text())
    best = [seed["seed"] for seed in record["seeds"]].index(record["best_seed"])
    images = np.load(first.path / "data/prepared/images.npy")[-measured.shape[1] :]
    answers = loaded.predict(images)
    np.testing.assert_allclose(answers[record["classes"]], measured[best], rtol=1e-2, atol=1e-5)
    assert list(answers.columns) == ["class", *record["classes"]]


def test_champion_in_the_report_loads_from_a_copy_of_the_repository(clone, monkeypatch):
    import mlflow

    address = re.search(r"`(models:/.+@champion)`", (clone.path / "reports/report.md").read_text()).group(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", clone.store.tracking_uri)
    images = np.load(clone.path / "data/prepared/images.npy")[:2]
    assert list(mlflow.pyfunc.load_model(address).predict(images).columns) == ["class", *"0123456789"]
    version = clone.store.search_model_versions()[0]
    assert clone.store.get_model_version_download_uri(version.name, version.version).startswith(f"{clone.path}/")
