"""Test the MLflow runs of the first pipeline run: a projection of results/, ready for comparison."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fitgap.data.record import read_result


@pytest.fixture(scope="module")
def store(first):
    return first.store


@pytest.fixture(scope="module")
def runs(store):
    found = store.search_runs(["1"], max_results=1000)
    return {run.info.run_name: run for run in found if "mlflow.parentRunId" not in run.data.tags}


@pytest.fixture(scope="module")
def children(store, runs):
    def of(name: str) -> list:
        parent = runs[name].info.run_id
        found = store.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent}'")
        return sorted(found, key=lambda run: int(run.data.tags["seed"]))

    return of


def test_every_stage_has_its_run(runs):
    assert {
        "prepare",
        "backbone",
        "features",
        "asis",
        "probe",
        "highrate@baseline",
        "learning_curve@20",
        "report",
        "scratch@baseline",
        "head@dropout",
    } <= runs.keys()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


@pytest.mark.parametrize("name", ["scratch@baseline", "head@baseline", "finetune@block5"])
def test_parent_has_a_child_per_seed_and_their_means(runs, children, name):
    seeds = children(name)
    assert [run.data.tags["seed"] for run in seeds] == ["0", "1"]
    for metric in ("test_accuracy", "val_loss_best", "gap_last"):
        values = [run.data.metrics[metric] for run in seeds]
        assert runs[name].data.metrics[metric] == pytest.approx(np.mean(values))
        assert runs[name].data.metrics[f"{metric}_sd"] == pytest.approx(np.std(values, ddof=1))


def test_report_run_carries_the_claims_as_table_and_metrics(first, store, runs):
    run = runs["report"]
    table = json.loads(Path(store.download_artifacts(run.info.run_id, "claims_table.json")).read_text())
    assert table["columns"][:4] == ["id", "topic", "statement", "verdict"]
    claims = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    assert "claims_table.json" in run.data.tags["mlflow.loggedArtifacts"]
    known = {name: claim for name, claim in claims.items() if claim["estimate"] is not None}
    assert known
    for name, claim in known.items():
        assert run.data.metrics[name] == pytest.approx(claim["estimate"])
    assert {"report.html", "report.md", "summary.csv"} <= {file.path for file in store.list_artifacts(run.info.run_id)}


def test_report_run_links_every_models_run(first, store, runs):
    report = runs["report"]
    linked = json.loads(Path(store.download_artifacts(report.info.run_id, "runs.json")).read_text())
    assert set(first.summary.index) <= linked.keys()
    assert {name: runs[name].info.run_id for name in linked} == linked
    assert all(run_id in report.data.tags["mlflow.note.content"] for run_id in linked.values())


def test_families_can_be_compared(runs):
    kinds = [runs[name] for name in ("scratch@dropout", "head@dropout", "finetune@block5")]
    shared = set.intersection(*(set(run.data.metrics) for run in kinds))
    assert {"test_accuracy", "gap_last", "gap_best", "epochs_to_best", "params_total", "seconds"} <= shared
    assert {"dropout", "learning_rate", "epochs"} <= set.intersection(*(set(run.data.params) for run in kinds))


def test_curves_have_a_point_per_epoch(store, children):
    child = children("scratch@baseline")[0]
    for metric in ("train_loss", "val_loss", "objective", "penalty"):
        assert [point.step for point in store.get_metric_history(child.info.run_id, metric)] == [1, 2, 3]


def test_runs_say_what_they_ran_on(first, children):
    child = children("scratch@dropout")[1]
    digest = json.loads((first.path / "data/prepared/prepared.json").read_text())["digest"]
    assert (child.data.tags["stage"], child.data.tags["variant"]) == ("scratch", "dropout")
    assert digest in child.data.tags.values()
    assert len(child.data.tags["mlflow.source.git.commit"]) == 40
    assert [item.dataset.name for item in child.inputs.dataset_inputs] == ["digits"]


@pytest.mark.parametrize("name", ["scratch@dropout", "finetune@block5"])
def test_logged_model_answers_as_it_was_measured(first, store, name, monkeypatch):
    import mlflow

    folder = first.path / "results" / name.replace("@", "/")
    of_this_result = f"tags.`fitgap.fingerprint` = '{read_result(folder).fingerprint}'"
    run = next(run for run in store.search_runs(["1"], of_this_result) if "seed" not in run.data.tags)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    measured = np.load(folder / "test_probabilities.npy")
    record = json.loads((folder / "record.json").read_text())
    best = [seed["seed"] for seed in record["seeds"]].index(record["best_seed"])
    images = np.load(first.path / "data/prepared/images.npy")[-measured.shape[1] :]
    np.testing.assert_allclose(loaded.predict(images), measured[best], rtol=1e-2, atol=1e-5)
    assert list(loaded.predict(images).columns) == record["classes"]


def test_the_champion_in_the_report_loads_from_a_copy_of_the_repository(clone, monkeypatch):
    import mlflow

    name, alias = re.search(r"`models:/(.+)@(champion)`", (clone.path / "reports/report.md").read_text()).groups()
    version = clone.store.get_model_version_by_alias(name, alias).version
    assert clone.store.get_model_version_download_uri(name, version).startswith(f"{clone.path}/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", clone.store.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@{alias}")
    images = np.load(clone.path / "data/prepared/images.npy")[:2]
    assert list(loaded.predict(images).columns) == [str(digit) for digit in range(10)]
