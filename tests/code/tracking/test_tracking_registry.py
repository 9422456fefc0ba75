"""Test the registry's champion: it follows the best model, in a new version only where one is missing."""

import numpy as np
import pytest
import tracking_samples as samples

from fitgap.system.errors import UserError
from fitgap.tracking import models, registry, runs

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
NAME = f"fitgap-digits-{samples.DIGEST[:8]}-200"  # the digest and the number of validation images


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture(scope="module")
def network(tensorflow):
    return samples.network()


@pytest.fixture
def register(network):
    def registered(result, with_network=True):
        run_id = runs.log_result(result)
        if with_network:
            models.log_model(run_id, lambda: network, samples.CLASSES)
        return registry.register(result, run_id)

    return registered


def answers(outcome):
    """Load the champion from the address in the report, and let it judge some images."""
    import mlflow

    return mlflow.pyfunc.load_model(outcome["address"]).predict(IMAGES)[samples.CLASSES]


def versions():
    found = samples.client().search_model_versions(f"name = '{NAME}'")
    return sorted((int(version.version), version.tags["fitgap.model"]) for version in found)


def delete(repository, name: str) -> None:
    for file in repository.glob(f"mlruns/**/{name}"):
        file.unlink()


def test_first_model_gets_the_title_and_answers_through_it(register, network):
    outcome = register(samples.contestant())
    assert outcome["address"] == f"models:/{NAME}@champion"
    assert outcome["why"] == "**scratch@dropout** is the champion."
    np.testing.assert_array_equal(answers(outcome), network.predict(IMAGES, verbose=0))
    champion = samples.client().get_model_version_by_alias(NAME, "champion")
    about = (
        "right on 90.0% of its validation images and 90.0% of its test images (mean test accuracy of 3 seeds: 90.0%)."
    )
    assert champion.description == f"scratch@dropout, seed 0: {about}"
    run = samples.client().get_run(champion.run_id)
    assert run.data.tags["variant"] == "dropout" and "mlflow.parentRunId" not in run.data.tags
    assert register(samples.contestant()) == outcome
    assert versions() == [(1, "scratch@dropout")]


def test_store_that_does_not_answer_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(UserError, match="^MLflow's store failed: ") as refused:
        models.find_address(samples.contestant())
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)
    samples.forget(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    assert "No model was registered" in registry.register(samples.contestant(), "some run")["why"]
    line = capsys.readouterr().err
    assert "not in MLflow's registry" in line and "secret" not in line
    assert "version" not in registry.register(samples.contestant(), None)


def test_the_title_goes_to_the_best_model_of_each_report(register):
    register(samples.contestant())
    outcome = register(samples.contestant("l1"))
    assert outcome["version"] == "2" and outcome["why"] == "**scratch@l1** is the champion."
    assert versions() == [(1, "scratch@dropout"), (2, "scratch@l1")]


def test_champion_registered_by_hand_gives_way(register):
    client, first = samples.client(), register(samples.contestant())
    client.create_model_version(NAME, client.get_model_version_download_uri(NAME, first["version"]))
    client.set_registered_model_alias(NAME, "champion", "2")
    assert register(samples.contestant())["version"] == "3"


@pytest.mark.parametrize("other", [{"digest": "cd" * 32}, {"validation_images": 100}])
def test_other_images_have_a_champion_of_their_own(register, other):
    register(samples.contestant())
    outcome = register(samples.contestant("batchnorm", **other))
    assert NAME not in outcome["address"] and outcome["version"] == "1"


@pytest.mark.parametrize("name", ["model.keras", "fitgap_classifier.py", "MLmodel"])
def test_champion_whose_files_are_gone_is_registered_anew(register, repository, name):
    register(samples.contestant())
    delete(repository, name)
    outcome = register(samples.contestant())
    assert outcome["version"] == "2"
    assert answers(outcome).shape == (6, 2)


def test_after_mlflow_gc_the_model_is_registered_anew(register, repository):
    from click.testing import CliRunner
    from mlflow.cli import gc

    register(samples.contestant())
    (model,) = samples.client().search_logged_models(["1"])
    samples.client().delete_logged_model(model.model_id)  # as the UI does
    done = CliRunner().invoke(gc, ["--backend-store-uri", samples.tracking_uri()])
    assert done.exit_code == 0, done.output
    outcome = register(samples.contestant())
    assert outcome["version"] == "2"
    assert answers(outcome).shape == (6, 2)


def test_without_files_of_a_model_no_address_is_shown(register, repository):
    register(samples.contestant())
    delete(repository, "model.keras")
    outcome = register(samples.contestant(), with_network=False)
    assert outcome.keys() == {"why"} and "is not in MLflow; `make sync`" in outcome["why"]
