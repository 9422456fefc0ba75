"""Test that a moved or copied database names the new folder in every place."""

import shutil
import sqlite3
from contextlib import closing

import pytest
import tracking_samples as samples

from fitgap.tracking import relocate, runs


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a repository with a run, a logged model, a registered version and a trace."""
    made = samples.repository(tmp_path / "former", monkeypatch)
    client, run_id = samples.client(), runs.log_result(samples.model())
    model = client.create_logged_model("1", "model", run_id)
    client.create_registered_model("best")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    for source in (f"models:/{model.model_id}", model.artifact_location):
        client.create_model_version("best", source, run_id)
    client.end_trace(client.start_trace("trace", experiment_id="1").trace_id)
    return made


def mentions(database, text):
    with closing(sqlite3.connect(database)) as connection:
        return [line for line in connection.iterdump() if str(text) in line]


def test_no_text_in_the_database_names_the_former_folder(repository, tmp_path):
    places = {line.split('"')[1] for line in mentions("mlflow.db", repository)}
    assert places == {"experiments", "runs", "logged_models", "model_versions", "trace_tags"}
    copy = shutil.copytree(repository, tmp_path / "it's #1")
    assert relocate.relocate(copy) > 0
    assert mentions(copy / "mlflow.db", repository) == []
    assert {line.split('"')[1] for line in mentions(copy / "mlflow.db", "#1/mlruns")} == places
    assert relocate.relocate(copy) == 0


def test_without_a_database_one_line_says_where_to_run_it(tmp_path, monkeypatch):
    samples.forget(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^fitgap: .*mlflow.db: not found; run from the repository's top folder$"):
        relocate.main()
