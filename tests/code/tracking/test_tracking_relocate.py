"""Test that a moved or copied database names the new folder in every place."""

import shutil
import sqlite3
from contextlib import closing

import pytest
import tracking_samples as samples

from fitgap.system.files import fresh_folder
from fitgap.tracking import relocate, runs


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a repository with a run, a logged model, a registered version and a trace."""
    made = samples.repository(tmp_path / "former", monkeypatch)
    client, run_id = samples.client(), runs.log_result(samples.model())
    model = client.create_logged_model("1", "model", run_id)
    client.create_registered_model("best")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", samples.store.tracking_uri())
        patch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
        for source in (f"models:/{model.model_id}", model.artifact_location):
            client.create_model_version("best", source, run_id)
        client.end_trace(client.start_trace("trace", experiment_id="1").trace_id)
    return made


def mentions(database, text):
    with closing(sqlite3.connect(database)) as connection:
        return [line for line in connection.iterdump() if str(text) in line]


def test_no_text_in_the_database_names_the_former_folder(repository, tmp_path, monkeypatch):
    places = {line.split('"')[1] for line in mentions("mlflow.db", repository)}
    assert places == {"experiments", "runs", "logged_models", "model_versions", "trace_tags"}
    monkeypatch.chdir(tmp_path)
    repository.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert relocate.main() == 0
    assert mentions("mlflow.db", repository) == []
    assert {line.split('"')[1] for line in mentions("mlflow.db", tmp_path / "moved")} == places


def test_experiments_of_any_name_move_and_folders_of_any_name_are_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    made = samples.repository(tmp_path / "plain", monkeypatch)
    run_id = runs.log_result(samples.model())
    monkeypatch.chdir(tmp_path)
    moved = made.rename(tmp_path / "it's 50%25 #1?")
    monkeypatch.chdir(moved)
    assert relocate.main() == 0
    assert "record.json" in [file.path for file in samples.client().list_artifacts(run_id)]


def test_a_second_time_there_is_nothing_to_do(repository, tmp_path, monkeypatch):
    shutil.copytree(repository, tmp_path / "copy")
    assert relocate.relocate(tmp_path / "copy") > 0
    assert relocate.relocate(tmp_path / "copy") == 0


def test_a_database_of_which_only_some_places_were_changed_is_mended(repository):
    with closing(sqlite3.connect("mlflow.db")) as connection, connection:
        connection.execute("UPDATE model_versions SET storage_location = '/gone/' || storage_location")
    assert relocate.relocate(repository) == 1  # the version that names a logged model
    assert samples.client().get_model_version_download_uri("best", "1").startswith(f"{repository}/")


def test_addresses_are_changed_like_paths(repository, tmp_path):
    with closing(sqlite3.connect("mlflow.db")) as connection, connection:
        place = (repository / "mlruns").as_uri()
        connection.execute("UPDATE experiments SET artifact_location = ? || '/1' WHERE name = 'fitgap'", (place,))
    with fresh_folder(tmp_path / "copy") as copy:
        shutil.copytree(repository, copy, dirs_exist_ok=True)
    relocate.relocate(tmp_path / "copy")
    assert mentions(tmp_path / "copy" / "mlflow.db", place) == []
    assert len(mentions(tmp_path / "copy" / "mlflow.db", (tmp_path / "copy" / "mlruns").as_uri())) == 1
