"""Test that a network attached to its run loads unchanged, and is attached once."""

from importlib import metadata

import numpy as np
import pytest
import tracking_samples as samples
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fitgap.tracking import models, runs, store

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture(scope="module")
def network(tensorflow):
    return samples.network()


@pytest.fixture
def run_id(network):
    """Id of a run with its model."""
    run_id = runs.log_result(samples.model())
    models.log_model(run_id, lambda: network, samples.CLASSES)
    return run_id


def logged(run_id: str) -> list:
    return list(samples.client().search_logged_models(["1"], f"source_run_id = '{run_id}'"))


def unneeded():
    raise AssertionError("a network was built for nothing")


def test_network_loads_unchanged_and_says_what_it_is(repository, network, run_id):
    import mlflow

    expected = network.predict(IMAGES, verbose=0)
    address = f"runs:/{run_id}/scratch@dropout"
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(address).predict(IMAGES)[samples.CLASSES], expected)
    loaded = mlflow.keras.load_model(address, load_model_kwargs={"safe_mode": True})
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    (model,) = logged(run_id)
    assert model.status == "READY" and model.tags["variant"] == "dropout"
    description = mlflow.models.get_model_info(address)
    assert description.metadata["classes"] == samples.CLASSES == description.signature.outputs.input_names()[1:]
    assert samples.client().get_run(run_id).info.status == "FINISHED"
    (file,) = repository.glob("mlruns/**/requirements.txt")
    required = file.read_text(encoding="utf-8").split()
    assert {f"{name}=={metadata.version(name)}" for name in ("keras", "numpy", "pandas", "pillow")} <= set(required)
    assert any(line.startswith("tensorflow") for line in required)
    assert all("==" in line for line in required)


def test_models_page_shows_what_was_measured_of_its_weights_and_on_which_data(run_id):
    """Of the best seed, and not the means of the run that it is attached to."""
    (model,) = logged(run_id)
    shown = {metric.key: metric for metric in samples.client().get_logged_model(model.model_id).metrics}
    assert shown["test_accuracy"].value == 0.9 and shown["gap_last"].value == 0.2
    assert (shown["test_accuracy"].dataset_name, shown["test_accuracy"].dataset_digest) == (
        "digits",
        samples.DIGEST[:36],
    )
    assert samples.client().get_run(run_id).data.metrics["test_accuracy"] == pytest.approx(0.91)
    (child,) = [run for run in samples.children(run_id) if run.data.tags["seed"] == "0"]
    assert len(samples.client().get_metric_history(child.info.run_id, "test_accuracy")) == 1
    assert shown["test_accuracy"].run_id == child.info.run_id


def test_run_that_has_a_model_gets_no_second(run_id):
    models.log_model(run_id, unneeded, samples.CLASSES)
    assert len(logged(run_id)) == 1


def test_model_whose_files_were_deleted_is_attached_anew(repository, run_id, network):
    (file,) = repository.glob("mlruns/**/model.keras")
    file.unlink()
    models.log_model(run_id, lambda: network, samples.CLASSES)
    (file,) = repository.glob("mlruns/**/model.keras")
    assert len(logged(run_id)) == 1


def test_model_that_was_half_written_is_replaced(network, monkeypatch, capsys):
    from mlflow import MlflowClient

    def full(*_, **__):
        raise OSError("No space left on device")

    run_id = runs.log_result(samples.model())
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", full)
        models.log_model(run_id, lambda: network, samples.CLASSES)
    assert "its model is not in MLflow" in capsys.readouterr().err
    monkeypatch.setattr(store, "_given_up", False)  # the next process
    models.log_model(run_id, lambda: network, samples.CLASSES)
    assert capsys.readouterr().err == ""
    assert [model.status for model in logged(run_id)] == ["READY"]


def test_without_a_run_there_is_nothing_to_do():
    models.log_model(None, unneeded, samples.CLASSES)
    assert samples.client().search_logged_models(["1"]) == []


def test_of_each_transfer_family_the_best_is_attached():
    results = [
        samples.contestant("a", (0.3, 0.3), stage=stage) for stage in ("scratch", "head", "finetune", "highrate")
    ]
    results += [samples.contestant("b", (0.2, 0.2), stage=stage) for stage in ("scratch", "head", "finetune")]
    names = {result.name for result in models.models_to_attach(results)}
    assert names == {"scratch@a", "scratch@b", "head@b", "finetune@b"}


def test_server_that_knows_no_models_is_said_once_and_not_per_model(monkeypatch, capsys):
    answer = "API request to endpoint /api/2.0/mlflow/logged-models/search failed with error code 404 != 200. "
    error = MlflowException(f"{answer}Response body: '<!doctype html><title>404 Not Found</title>'")

    def fail(self, *arguments, **options):
        raise error

    monkeypatch.setattr(MlflowClient, "search_logged_models", fail)
    results = [samples.contestant(name) for name in ("l1", "l2", "dropout")]
    ids = runs.log_results(results)
    models.attach_models(results, ids, None, None, None)
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "no model is in MLflow" in line and "models need a server of MLflow 3" in line
    assert "404" not in line and "<" not in line
