"""Test the experiment that runs are written to: MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID, as MLflow has them."""

import pytest
import tracking_samples as samples

from fitgap.tracking import runs


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


def names_in(experiment: str) -> list[str]:
    found = samples.client().get_experiment_by_name(experiment)
    return [run.info.run_name for run in samples.client().search_runs([found.experiment_id])]


def test_a_name_is_honoured_and_its_files_stay_in_the_repository(repository, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "thesis")
    run_id = runs.log_result(samples.single())
    assert runs.log_result(samples.single()) == run_id
    assert names_in("thesis") == ["prepare"] and names_in("fitgap") == []
    (files,) = repository.glob(f"mlruns/*/{run_id}/artifacts/record.json")
    assert files.exists() and capsys.readouterr().err == ""


def test_a_new_database_begins_with_the_named_experiment(repository, monkeypatch):
    (repository / "mlflow.db").unlink()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "thesis")
    runs.log_result(samples.single())
    assert names_in("thesis") == ["prepare"]
    assert {one.name for one in samples.client().search_experiments()} == {"Default", "thesis"}


def test_an_id_is_honoured(monkeypatch):
    made = samples.client().create_experiment("thesis", artifact_location="mlruns/thesis")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", made)
    runs.log_result(samples.single())
    assert names_in("thesis") == ["prepare"]


@pytest.mark.parametrize("given", ["77", "thesis"])
def test_an_id_that_is_not_there_is_told_in_one_line(given, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", given)
    assert runs.log_results([samples.single(), samples.model()]) == {}
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"MLFLOW_EXPERIMENT_ID: '{given}': no such experiment; unset it" in told


def test_an_id_and_a_name_that_differ_are_refused_as_mlflow_does(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "1")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "thesis")
    assert runs.log_result(samples.single()) is None
    assert "'1' is the experiment 'fitgap', and MLFLOW_EXPERIMENT_NAME says 'thesis'" in capsys.readouterr().err
