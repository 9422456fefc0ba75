"""Test the registry's champion: first registration, replacement, keeping the title, and lost files."""

import numpy as np
import pytest
import tracking_samples as samples

from fitgap.system.errors import UserError
from fitgap.tracking import models, registry, runs

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
NAME = f"fitgap-digits-{samples.DIGEST[:8]}-200"  # the digest and the number of validation images
BETTER = (0.10, 0.11, 0.125)


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

    return mlflow.pyfunc.load_model(outcome.facts["address"]).predict(IMAGES)


def versions():
    found = samples.client().search_model_versions(f"name = '{NAME}'")
    return sorted((int(version.version), version.tags["fitgap.model"]) for version in found)


def delete(repository, name: str) -> None:
    for file in repository.glob(f"mlruns/**/{name}"):
        file.unlink()


def test_first_model_gets_the_title_and_answers_through_it(register, network):
    outcome = register(samples.contestant())
    assert outcome.facts["address"] == f"models:/{NAME}@champion"
    assert "first model" in outcome.why and "scratch@dropout" in outcome.why
    np.testing.assert_array_equal(answers(outcome), network.predict(IMAGES, verbose=0))
    champion = samples.client().get_model_version_by_alias(NAME, "champion")
    run = samples.client().get_run(champion.run_id)
    assert run.data.tags["variant"] == "dropout" and "mlflow.parentRunId" not in run.data.tags
    assert register(samples.contestant()).why == "**scratch@dropout** is already the champion."
    assert versions() == [(1, "scratch@dropout")]


def test_store_that_does_not_answer_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(UserError, match="^MLflow's store failed: ") as refused:
        models.find_address(samples.contestant())
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)
    samples.forget(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    assert "not available" in registry.register(samples.contestant(), "some run").why
    line = capsys.readouterr().err
    assert "not in MLflow's registry" in line and "secret" not in line
    assert registry.register(samples.contestant(), None).version is None


def test_only_a_clearly_better_model_is_registered_and_takes_the_title(register):
    register(samples.contestant())
    assert register(samples.contestant("l1", (0.40, 0.41, 0.42))).version == "1"
    outcome = register(samples.contestant("batchnorm", BETTER))
    assert outcome.version == "2" and versions() == [(1, "scratch@dropout"), (2, "scratch@batchnorm")]
    assert "**scratch@batchnorm** replaces **version 1, scratch@dropout** as champion" in outcome.why
    assert "-0.198 nats" in outcome.why and "3 seeds" in outcome.why


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ((0.10, 0.50, 0.20), "not clearly lower"),  # lower on average, by less than its uncertainty
        ((0.40, 0.41, 0.42), "not clearly lower"),
        ((0.10, 0.11), "share 2 seeds"),
    ],
)
def test_comparison_is_paired_by_seed_and_needs_an_interval_below_zero(losses, reason):
    holder = {0: 0.30, 1: 0.31, 2: 0.32}
    is_better, why = registry.beats_champion("new", dict(enumerate(losses)), "old", holder)
    assert not is_better and "**old** stays champion" in why and reason in why


def test_champion_registered_by_hand_keeps_the_title(register):
    client, first = samples.client(), register(samples.contestant())
    client.create_model_version(NAME, client.get_model_version_download_uri(NAME, first.version))
    client.set_registered_model_alias(NAME, "champion", "2")
    outcome = register(samples.contestant())
    assert "**version 2, of unknown origin** stays champion" in outcome.why and "share 0 seeds" in outcome.why


@pytest.mark.parametrize("other", [{"digest": "cd" * 32}, {"validation_images": 100}])
def test_other_images_have_a_champion_of_their_own(register, other):
    register(samples.contestant())
    outcome = register(samples.contestant("batchnorm", (0.9, 0.9, 0.9), **other))
    assert outcome.name != NAME and "first model" in outcome.why


@pytest.mark.parametrize("name", ["model.keras", "fitgap_classifier.py", "MLmodel"])
def test_champion_whose_files_are_gone_is_registered_anew(register, repository, name):
    register(samples.contestant())
    delete(repository, name)
    outcome = register(samples.contestant())
    assert outcome.version == "2" and "the files of **version 1, scratch@dropout** are gone" in outcome.why
    assert answers(outcome).shape == (6, 2)


def test_after_mlflow_gc_a_model_that_is_not_better_takes_the_title(register, repository):
    from click.testing import CliRunner
    from mlflow.cli import gc

    register(samples.contestant())
    (model,) = samples.client().search_logged_models(["1"])
    samples.client().delete_logged_model(model.model_id)  # as the UI does
    done = CliRunner().invoke(gc, ["--backend-store-uri", samples.tracking_uri()])
    assert done.exit_code == 0, done.output
    outcome = register(samples.contestant("batchnorm", (0.40, 0.41, 0.42)))
    assert "**scratch@batchnorm** is the champion" in outcome.why
    assert answers(outcome).shape == (6, 2)


def test_without_files_of_a_model_no_address_is_shown(register, repository):
    register(samples.contestant())
    delete(repository, "model.keras")
    outcome = register(samples.contestant(), with_network=False)
    assert outcome.facts == {"why": outcome.why} and "is not in MLflow; `make sync`" in outcome.why
