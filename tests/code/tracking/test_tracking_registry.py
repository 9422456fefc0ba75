"""Test the registry's champion: first registration, replacement, keeping the title, and recovery from crashes."""

import dataclasses

import numpy as np
import pytest
import tracking_samples as samples

from fitgap.tracking import models, registry, runs

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
NAME = f"fitgap-digits-{samples.DIGEST[:8]}-200"  # the digest and the number of validation images


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture(scope="module")
def network(tensorflow):
    import keras

    layers = [
        keras.Input((8, 8, 3), dtype="uint8", name="images"),
        keras.layers.Rescaling(1 / 255, name="scale"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(2, activation="softmax", name="probabilities"),
    ]
    return keras.Sequential(layers)


def result(variant="dropout", losses=(0.30, 0.31, 0.32), digest=samples.DIGEST, validation_images=200):
    """Return the result of a model with these lowest validation losses by seed."""
    made = samples.model(variant, validation_images=validation_images)
    seeds = [{**samples.model(variant).record.seeds[0], "seed": s, "val_loss_best": x} for s, x in enumerate(losses)]
    inputs = {"data": {"name": "digits", "digest": digest}}
    return dataclasses.replace(made, record=dataclasses.replace(made.record, seeds=seeds, inputs=inputs))


@pytest.fixture
def register(network):
    def registered(one, with_network=True):
        run_id = runs.log_result(one)
        if with_network:
            models.log_model(run_id, lambda: network, IMAGES[:1])
        return registry.register(one, run_id)

    return registered


def versions():
    found = samples.client().search_model_versions(f"name = '{NAME}'")
    return sorted((int(one.version), one.tags["fitgap.model"]) for one in found)


def champion():
    return samples.client().get_model_version_by_alias(NAME, "champion")


def test_the_first_gets_the_title_and_answers_through_it(register, network):
    import mlflow

    outcome = register(result())
    assert outcome.facts["address"] == f"models:/{NAME}@champion"
    assert "first model" in outcome.why and "scratch@dropout" in outcome.why
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", samples.store.tracking_uri())
        loaded = mlflow.pyfunc.load_model(outcome.facts["address"])
    np.testing.assert_array_equal(loaded.predict(IMAGES), network.predict(IMAGES, verbose=0))


def test_the_version_leads_to_the_run(register):
    register(result())
    run = samples.client().get_run(champion().run_id)
    assert run.data.tags["variant"] == "dropout" and "mlflow.parentRunId" not in run.data.tags


def test_the_same_again_changes_nothing(register):
    register(result())
    assert register(result()).why == "**scratch@dropout** is already the champion."
    assert versions() == [(1, "scratch@dropout")]


def test_a_clearly_better_one_takes_it(register):
    register(result())
    outcome = register(result("batchnorm", (0.10, 0.11, 0.125)))
    assert outcome.version == "2" and champion().version in (2, "2")
    assert "**scratch@batchnorm** replaces **version 1, scratch@dropout** as champion" in outcome.why
    assert "-0.198 nats" in outcome.why and "3 seeds" in outcome.why


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ((0.10, 0.50, 0.20), "not clearly lower"),  # lower on average, by less than its uncertainty
        ((0.40, 0.41, 0.42), "not clearly lower"),
        ((0.10, 0.11), "share 2 seeds"),
    ],
)
def test_one_that_is_not_clearly_better_is_not_registered(register, losses, said):
    register(result())
    outcome = register(result("batchnorm", losses))
    assert outcome.version == "1" and "stays champion" in outcome.why and said in outcome.why
    assert versions() == [(1, "scratch@dropout")]


def test_a_title_won_back_needs_no_second_version(register):
    first, second = result(), result("batchnorm", (0.10, 0.11, 0.125))
    register(first)
    register(second)
    samples.client().set_registered_model_alias(NAME, "champion", "1")  # the user thinks otherwise
    assert register(second).version == "2"
    assert versions() == [(1, "scratch@dropout"), (2, "scratch@batchnorm")]


def test_in_a_copy_of_the_repository_the_real_one_is_meant(register, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.chdir(tmp_path)
    assert register(result()).version == "1"
    assert not (tmp_path / "mlflow.db").exists()


def test_other_images_have_a_champion_of_their_own(register):
    register(result())
    other = register(result("batchnorm", (0.9, 0.9, 0.9), digest="cd" * 32))
    assert other.name != NAME and "first model" in other.why


def test_other_validation_images_have_a_champion_of_their_own(register):
    outcomes = [register(result(validation_images=count)) for count in (200, 100)]
    assert len({one.facts["address"] for one in outcomes}) == 2


def test_killed_between_version_and_title_it_goes_on(register, monkeypatch):
    import mlflow

    def killed(*_):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", killed)
        assert register(result()).version is None
    assert register(result()).version == "1"
    assert versions() == [(1, "scratch@dropout")]


def test_a_holder_made_by_hand_keeps_it(register, tmp_path):
    client = samples.client()
    client.create_registered_model(NAME)
    client.create_model_version(NAME, str(tmp_path), tags={registry.LOSSES: "[]"})
    client.set_registered_model_alias(NAME, "champion", "1")
    assert "are unknown" in register(result()).why


def test_without_a_network_nothing_is_registered(register):
    assert "is not in MLflow" in register(result(), with_network=False).why
    assert samples.client().search_registered_models() == []


def test_a_store_that_is_away_costs_a_line_and_betrays_nothing(monkeypatch, capsys):
    assert registry.register(result(), None).version is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@127.0.0.1:9/none")
    outcome = registry.register(result(), "some run")
    assert "not available" in outcome.why
    said = capsys.readouterr().err
    assert "not in MLflow's registry" in said and "secret" not in said
