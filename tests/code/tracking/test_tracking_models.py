"""Test that a network attached to its run loads unchanged."""

import zipfile

import numpy as np
import pytest
import tracking_samples as samples

from fitgap.tracking import models, runs, store

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture(scope="module")
def network():
    """Return a small trained network, so that its optimizer has a state."""
    network = samples.network()
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(IMAGES, np.arange(6) % 2, verbose=0)
    return network


@pytest.fixture
def mlflow(repository):
    import mlflow

    mlflow.set_tracking_uri(store.tracking_uri())
    yield mlflow
    mlflow.set_tracking_uri(None)


def logged(run_id: str) -> list:
    return list(samples.client().search_logged_models(["1"], f"source_run_id = '{run_id}'"))


def unneeded():
    raise AssertionError("a network was built for nothing")


def test_the_round_trip(mlflow, network):
    run_id = runs.log_result(samples.model())
    models.log_model(run_id, lambda: network, samples.CLASSES)
    expected = network.predict(IMAGES, verbose=0)
    served = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    np.testing.assert_array_equal(served.predict(IMAGES), expected)
    loaded = mlflow.keras.load_model(f"runs:/{run_id}/model", load_model_kwargs={"safe_mode": True})
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)


def test_what_the_model_says_of_itself(mlflow, network):
    run_id = runs.log_result(samples.model())
    models.log_model(run_id, lambda: network, samples.CLASSES)
    (model,) = logged(run_id)
    assert model.status == "READY" and model.tags["variant"] == "dropout"
    assert {metric.key for metric in model.metrics} == {"test_accuracy", "gap_last"}
    about = mlflow.models.get_model_info(f"runs:/{run_id}/model")
    assert about.metadata["classes"] == samples.CLASSES == about.signature.outputs.input_names()
    assert len(samples.curve(run_id, "test_accuracy")) == 1
    assert len(samples.client().get_metric_history(run_id, "test_accuracy")) == 1
    assert samples.client().get_run(run_id).info.status == "FINISHED"


def test_requirements_are_pinned_to_what_is_installed(repository, network):
    import keras

    runs_model = runs.log_result(samples.model())
    models.log_model(runs_model, lambda: network, samples.CLASSES)
    (file,) = repository.glob("mlruns/**/requirements.txt")
    required = file.read_text(encoding="utf-8").split()
    assert f"keras=={keras.__version__}" in required and f"numpy=={np.__version__}" in required
    assert all("==" in line for line in required)


def test_the_optimizers_state_stays_behind(repository, network):
    models.log_model(runs.log_result(samples.model()), lambda: network, samples.CLASSES)
    (file,) = repository.glob("mlruns/**/model.keras")
    with zipfile.ZipFile(file) as archive:
        assert b"Adam" not in archive.read("config.json")
    assert network.optimizer is not None


def test_a_run_that_has_a_model_gets_no_second(network):
    run_id = runs.log_result(samples.model())
    models.log_model(run_id, lambda: network, samples.CLASSES)
    models.log_model(run_id, unneeded, samples.CLASSES)
    assert len(logged(run_id)) == 1


def test_a_model_deleted_in_the_ui_is_attached_anew(mlflow, network):
    run_id = runs.log_result(samples.model())
    models.log_model(run_id, lambda: network, samples.CLASSES)
    (first,) = logged(run_id)
    samples.client().delete_logged_model(first.model_id)
    models.log_model(run_id, lambda: network, samples.CLASSES)
    (second,) = logged(run_id)
    assert second.model_id != first.model_id
    assert mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(IMAGES).shape == (6, 2)


def test_a_model_that_was_half_written_is_replaced(mlflow, network, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError("No space left on device")

    run_id = runs.log_result(samples.model())
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_model_artifacts", full)
        models.log_model(run_id, lambda: network, samples.CLASSES)
    assert "its model is not in MLflow" in capsys.readouterr().err
    models.log_model(run_id, lambda: network, samples.CLASSES)
    assert capsys.readouterr().err == ""
    found = samples.client().search_logged_models(["1"])
    assert [model.status for model in found] == ["READY"]
    assert mlflow.pyfunc.load_model(f"models:/{found[0].model_id}").predict(IMAGES).shape == (6, 2)


def test_where_no_run_was_written_there_is_nothing_to_do():
    models.log_model(None, unneeded, samples.CLASSES)
    assert samples.client().search_logged_models(["1"]) == []


@pytest.mark.parametrize(("shape", "dtype"), [((8, 8, 3), "float32"), ((8, 8, 1), "uint8"), ((8,), "uint8")])
def test_networks_for_other_than_rgb_bytes_are_refused(shape, dtype):
    import keras

    images = keras.Input(shape, dtype=dtype)
    network = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(images)))
    with pytest.raises(ValueError, match="uint8"):
        models.log_model(runs.log_result(samples.model()), lambda: network, samples.CLASSES)


def test_a_class_without_a_name_is_refused(network):
    with pytest.raises(ValueError, match="1 names for 2 outputs"):
        models.log_model(runs.log_result(samples.model()), lambda: network, samples.CLASSES[:1])


def test_a_model_whose_files_were_deleted_is_attached_anew(repository, mlflow, network):
    run_id = runs.log_result(samples.model())
    models.log_model(run_id, lambda: network, samples.CLASSES)
    (file,) = repository.glob("mlruns/**/model.keras")
    file.unlink()
    models.log_model(run_id, lambda: network, samples.CLASSES)
    assert len(logged(run_id)) == 1
    assert mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(IMAGES).shape == (6, 2)
