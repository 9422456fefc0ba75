"""Test that a real tracking server holds the same runs, and models whose files it loses are written again."""

import shutil
import sys

import pytest
import tracking_samples as samples
from servers import Server

from fitgap.tracking import models, registry, runs


@pytest.fixture
def server(tmp_path):
    """Start MLflow's server on a free port; give its address, with a password that it does not ask for."""
    (tmp_path / "served").mkdir()
    with Server(tmp_path / "served") as running:
        yield f"http://ada:s3cret@127.0.0.1:{running.port}"


@pytest.mark.slow  # the other files here test the same without a server
@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_server_holds_the_same_as_a_file_and_shows_no_password(server, tensorflow, tmp_path, monkeypatch, capsys):
    here = samples.repository(tmp_path / "repository", monkeypatch)
    result = samples.contestant()
    local = samples.client().get_run(runs.log_result(result))
    (here / "mlflow.db").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    run_id = runs.log_result(result)
    assert runs.log_result(result) == run_id
    remote = samples.client().get_run(run_id)
    assert (remote.data.metrics, remote.data.params) == (local.data.metrics, local.data.params)
    assert samples.curve(run_id, "val_loss") == {epoch: pytest.approx(1 / epoch + 1) for epoch in (1, 2, 3, 4)}
    assert len(samples.children(run_id)) == 3
    assert {file.path for file in samples.client().list_artifacts(run_id)} == {"record.json"}
    assert "s3cret" not in str([run.to_dictionary() for run in samples.active_runs()])
    for version in ("1", "2"):
        models.log_model(run_id, samples.network, samples.CLASSES)
        assert registry.register(result, run_id)["version"] == version
        assert registry.register(result, run_id)["version"] == version
        (files,) = tmp_path.glob("served/artifacts/*/models")
        shutil.rmtree(files)
    assert "address" not in registry.register(result, run_id)
    assert capsys.readouterr() == ("", "")
    assert not (here / "mlflow.db").exists()
