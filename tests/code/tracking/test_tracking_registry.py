"""Test the registry's champion: first registration, replacement, keeping the title, and recovery from crashes."""

import numpy as np
import pytest
import tracking_samples as samples

from fitgap.system.errors import UserError
from fitgap.tracking import models, registry, relocate, runs

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
    def registered(one, with_network=True):
        run_id = runs.log_result(one)
        if with_network:
            models.log_model(run_id, lambda: network, samples.CLASSES)
        return registry.register(one, run_id)

    return registered


def answers(outcome):
    """Load the champion from the address in the report, and let it judge some images."""
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", samples.store.tracking_uri())
        return mlflow.pyfunc.load_model(outcome.facts["address"]).predict(IMAGES)


def versions():
    found = samples.client().search_model_versions(f"name = '{NAME}'")
    return sorted((int(one.version), one.tags["fitgap.model"]) for one in found)


def champion():
    return samples.client().get_model_version_by_alias(NAME, "champion")


def test_the_first_gets_the_title_and_answers_through_it(register, network):
    outcome = register(samples.contestant())
    assert outcome.facts["address"] == f"models:/{NAME}@champion"
    assert "first model" in outcome.why and "scratch@dropout" in outcome.why
    np.testing.assert_array_equal(answers(outcome), network.predict(IMAGES, verbose=0))


def test_the_champion_is_found_by_the_images_that_it_was_validated_on(register):
    with pytest.raises(UserError, match=f"^models:/{NAME}@champion: no such model .*`make repro`"):
        registry.find_champion(samples.contestant())
    registered = register(samples.contestant())
    found = registry.find_champion(samples.contestant("baseline"))
    assert found.facts["address"] == registered.facts["address"] and found.version == registered.version
    assert found.why == "scratch@dropout is the champion"
    with pytest.raises(UserError, match="-100@champion: no such model"):
        registry.find_champion(samples.contestant(validation_images=100))


def test_a_champion_without_files_is_not_found(register, repository):
    register(samples.contestant())
    for file in repository.glob("mlruns/**/model.keras"):
        file.unlink()
    with pytest.raises(UserError, match="no such model .*`make sync` writes its files, which are gone"):
        registry.find_champion(samples.contestant())


def test_a_store_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(UserError, match="^MLflow's store does not answer: ") as refused:
        registry.find_champion(samples.contestant())
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_the_version_leads_to_the_run(register):
    register(samples.contestant())
    run = samples.client().get_run(champion().run_id)
    assert run.data.tags["variant"] == "dropout" and "mlflow.parentRunId" not in run.data.tags


def test_the_same_again_changes_nothing(register):
    register(samples.contestant())
    assert register(samples.contestant()).why == "**scratch@dropout** is already the champion."
    assert versions() == [(1, "scratch@dropout")]


def test_a_clearly_better_one_takes_it(register):
    register(samples.contestant())
    outcome = register(samples.contestant("batchnorm", (0.10, 0.11, 0.125)))
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
    register(samples.contestant())
    outcome = register(samples.contestant("batchnorm", losses))
    assert outcome.version == "1" and "stays champion" in outcome.why and said in outcome.why
    assert versions() == [(1, "scratch@dropout")]


def test_a_title_won_back_needs_no_second_version(register):
    first, second = samples.contestant(), samples.contestant("batchnorm", (0.10, 0.11, 0.125))
    register(first)
    register(second)
    samples.client().set_registered_model_alias(NAME, "champion", "1")  # the user thinks otherwise
    assert register(second).version == "2"
    assert versions() == [(1, "scratch@dropout"), (2, "scratch@batchnorm")]


def test_in_a_copy_of_the_repository_the_real_one_is_meant(register, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.chdir(tmp_path)
    assert register(samples.contestant()).version == "1"
    assert not (tmp_path / "mlflow.db").exists()


def test_other_images_have_a_champion_of_their_own(register):
    register(samples.contestant())
    other = register(samples.contestant("batchnorm", (0.9, 0.9, 0.9), digest="cd" * 32))
    assert other.name != NAME and "first model" in other.why


def test_other_validation_images_have_a_champion_of_their_own(register):
    outcomes = [register(samples.contestant(validation_images=count)) for count in (200, 100)]
    assert len({one.facts["address"] for one in outcomes}) == 2


def test_killed_between_version_and_title_it_goes_on(register, monkeypatch):
    import mlflow

    def killed(*_):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", killed)
        assert register(samples.contestant()).version is None
    assert register(samples.contestant()).version == "1"
    assert versions() == [(1, "scratch@dropout")]


def test_a_holder_made_by_hand_keeps_it(register):
    client, first = samples.client(), register(samples.contestant())
    source = client.get_model_version_download_uri(NAME, first.version)
    client.create_model_version(NAME, source, tags={registry.LOSSES: "[]"})
    client.set_registered_model_alias(NAME, "champion", "2")
    outcome = register(samples.contestant())
    assert "are unknown" in outcome.why and outcome.version == "2"


def delete_in_the_ui_and_collect(repository):
    """Delete the model as the UI does, and then its files as `mlflow gc` does."""
    from click.testing import CliRunner
    from mlflow.cli import gc

    (model,) = samples.client().search_logged_models(["1"])
    samples.client().delete_logged_model(model.model_id)
    uri = samples.store.tracking_uri()
    done = CliRunner(env={"MLFLOW_TRACKING_URI": uri}).invoke(gc, ["--backend-store-uri", uri])
    assert done.exit_code == 0, done.output
    assert not list(repository.glob("mlruns/**/MLmodel"))


def delete_the_file(repository):
    (file,) = repository.glob("mlruns/**/model.keras")
    file.unlink()


def cut_the_file(repository):
    (file,) = repository.glob("mlruns/**/model.keras")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def delete_the_code(repository):
    (file,) = repository.glob("mlruns/**/fitgap_classifier.py")
    file.unlink()


def cut_the_description(repository):
    (file,) = repository.glob("mlruns/**/MLmodel")
    file.write_text(file.read_text().partition("flavors")[0])


def overwrite_the_description(repository):
    (file,) = repository.glob("mlruns/**/MLmodel")
    file.write_text("flavors: [")


LOSSES = (
    delete_in_the_ui_and_collect,
    delete_the_file,
    cut_the_file,
    delete_the_code,
    cut_the_description,
    overwrite_the_description,
)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_champion_whose_files_are_gone_is_registered_anew(register, repository, lose):
    register(samples.contestant())
    lose(repository)
    outcome = register(samples.contestant())
    assert outcome.version == "2" and "the files of **version 1, scratch@dropout** are gone" in outcome.why
    assert answers(outcome).shape == (6, 2)
    assert register(samples.contestant()).why == "**scratch@dropout** is already the champion."


def test_a_champion_whose_files_are_gone_yields_to_one_that_is_not_better(register, repository):
    register(samples.contestant())
    delete_in_the_ui_and_collect(repository)
    outcome = register(samples.contestant("batchnorm", (0.40, 0.41, 0.42)))
    assert "**scratch@batchnorm** is the champion" in outcome.why
    assert answers(outcome).shape == (6, 2)


def test_where_no_champion_loads_no_address_is_told(register, repository):
    register(samples.contestant())
    delete_the_file(repository)
    outcome = register(samples.contestant(), with_network=False)
    assert outcome.facts == {"why": outcome.why} and "`make sync`" in outcome.why


def test_after_a_move_the_champion_loads_from_the_new_place(register, repository, tmp_path, monkeypatch):
    first = register(samples.contestant())
    monkeypatch.chdir(tmp_path)
    repository.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert relocate.main() == 0
    assert answers(first).shape == (6, 2)
    assert register(samples.contestant()).facts == {
        **first.facts,
        "why": "**scratch@dropout** is already the champion.",
    }


def test_without_a_network_nothing_is_registered(register):
    assert "is not in MLflow" in register(samples.contestant(), with_network=False).why
    assert samples.client().search_registered_models() == []


def test_a_store_that_is_away_costs_a_line_and_betrays_nothing(monkeypatch, capsys):
    assert registry.register(samples.contestant(), None).version is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@127.0.0.1:9/none")
    outcome = registry.register(samples.contestant(), "some run")
    assert "not available" in outcome.why
    said = capsys.readouterr().err
    assert "not in MLflow's registry" in said and "secret" not in said
