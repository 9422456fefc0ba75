"""`make serve`: MLflow's real server answers, refuses odd requests with a reason, and stays up."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode

import numpy as np
import pytest
import tracking_samples as samples
import trained_repository
import trial_servers

from fitgap.prediction.predictor import load_predictor
from fitgap.prediction.trained_models import TrainedModels, build_network
from fitgap.programs import serve
from fitgap.system.errors import UserError
from fitgap.tracking import models, runs


def test_port_that_cannot_be_had_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 70000, -1):
            with pytest.raises(UserError, match=f"^port {port}: .*; name another: make serve PORT=5002$"):
                serve.main("--port", str(port))


def test_environment_that_was_moved_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "uvicorn").write_text("#!/former/place/bin/python\n")
    (tmp_path / "uvicorn").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="moved since the installation; remove .venv and run `make install`"):
        serve._become_server("models:/1", 5001)


def test_without_a_model_in_mlflow_one_line_says_what_to_do(copied, monkeypatch):
    samples.repository(copied, monkeypatch)
    with pytest.raises(UserError, match="its model is not in MLflow; `make sync` writes it"):
        serve.main("--port", str(trial_servers.free_port()))
    shutil.rmtree(copied / "results")
    with pytest.raises(UserError, match="no model can answer .*`make repro` trains"):
        serve.main("--port", str(trial_servers.free_port()))


@pytest.fixture(scope="module")
def served(repository, trained, tmp_path_factory):
    """Attach the best model to its run and serve it; give the port, a picture, and what `load_predictor` says of it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = shutil.copytree(trained, tmp_path_factory.mktemp("served") / "copy")
        samples.repository(folder, patch)
        found = TrainedModels(folder)
        best = found.find()
        run_id = runs.log_result(best)
        models.log_model(run_id, lambda: build_network(found, best), best.record.classes)
        port, environment = trial_servers.free_port(), trained_repository.environment(repository)
        command = [sys.executable, "-m", "fitgap.programs.serve", "--port", str(port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = subprocess.Popen(command, cwd=folder, env=environment, **quiet)
        try:
            trial_servers.wait_for_address(running, f"http://127.0.0.1:{port}/ping")
            picture = folder / "pictures/café/0.png"
            yield port, picture, load_predictor(root=folder).predict_files(picture).probabilities.iloc[0]
        finally:
            os.kill(running.pid, signal.SIGTERM)  # MLflow ends the server with itself
            running.wait(timeout=30)


def post(port, content):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", content, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
ODD = {
    "another size": ({"inputs": IMAGES[:, :16].tolist()}, "images: shape (2, 16, 32, 3); allowed: whole numbers"),
    "scaled": ({"inputs": (IMAGES / 255).tolist()}, "images: float64 values from 0 to 1"),
    "one image": ({"inputs": IMAGES[0].tolist()}, "images: shape (32, 32, 3); allowed"),
    "no picture": ({"inputs": [b64encode(b"text").decode()]}, "images: file 1: not a picture in JPEG"),
    "no base64": ({"inputs": ["digit.png"]}, "images: text 1 is not base64"),
    "no JSON": (b"\x00\xff{", "valid JSON"),
}


@pytest.mark.slow
def test_odd_requests_get_a_reason_and_the_server_stays_up(served):
    port, picture, expected = served
    for name, (content, said) in ODD.items():
        status, answer = post(port, content)
        assert status == 400 and said in answer, name
        assert len(answer) < 2000 and "Traceback" not in answer, name
    status, answer = post(
        port, {"inputs": np.broadcast_to(IMAGES, (400, 2, 32, 32, 3)).reshape(-1, 32, 32, 3).tolist()}
    )
    assert status == 200 and len(answer["predictions"]) == 800  # ten megabytes
    status, answer = post(port, {"inputs": [b64encode(picture.read_bytes()).decode()]})
    assert status == 200
    np.testing.assert_allclose([answer["predictions"][0][name] for name in expected.index], expected, atol=1e-5)
