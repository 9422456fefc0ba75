"""Test that a real tracking server holds the same runs."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import tracking_samples as samples

from fitgap.tracking import models, registry, runs


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Start MLflow's server on a free port; give its address, with a password that it does not ask for."""
    samples.repository(tmp_path / "served", monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        samples.wait_for(f"http://127.0.0.1:{port}/health", running)
        yield f"http://ada:s3cret@127.0.0.1:{port}"
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_a_server_holds_the_same_and_shows_no_password(server, tmp_path, monkeypatch, capsys):
    here = samples.repository(tmp_path / "repository", monkeypatch)
    local = samples.client().get_run(runs.log_result(samples.model()))
    (here / "mlflow.db").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    run_id = runs.log_result(samples.model())
    assert runs.log_result(samples.model()) == run_id
    remote = samples.client().get_run(run_id)
    assert (remote.data.metrics, remote.data.params) == (local.data.metrics, local.data.params)
    assert samples.curve(run_id, "val_loss") == {epoch: pytest.approx(1 / epoch + 1) for epoch in (1, 2, 3, 4)}
    assert len(samples.children(run_id)) == 3
    assert {file.path for file in samples.client().list_artifacts(run_id)} >= {"record.json", "history.csv"}
    assert "s3cret" not in str([run.to_dictionary() for run in samples.active_runs()])
    assert capsys.readouterr() == ("", "")
    assert not (here / "mlflow.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_a_champion_whose_files_the_server_lost_is_registered_anew(server, tensorflow, tmp_path, monkeypatch):
    samples.repository(tmp_path / "repository", monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    samples.client().rename_experiment("1", "another")  # fitgap's own then keeps its artifacts on the server
    result = samples.contestant()

    def report():
        run_id = runs.log_result(result)
        models.log_model(run_id, samples.network, samples.CLASSES)
        return registry.register(result, run_id)

    assert report().version == "1" and report().why == "**scratch@dropout** is already the champion."
    (models_there,) = tmp_path.glob("served/mlartifacts/*/models")
    shutil.rmtree(models_there)
    assert "address" not in report().facts
    assert "the files of **version 1, scratch@dropout** are gone" in report().why
    assert report().version == "2"
