"""make, predict and serve work in a shell full of variables for other programs; test_kills.py: so does the pipeline."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode

import pytest
import trial_servers
from conftest import Clone
from odd_variables import EARLY, ODD
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def odd(clone):
    """A clone in which all has run, and in whose shell these variables are set."""
    return Clone(clone.path, clone.variables | ODD)


def test_make_drops_what_works_before_any_code_of_ours(odd):
    (odd.path / ".venv").symlink_to(sys.prefix)
    shell = Clone(odd.path, odd.variables | EARLY)
    ended = shell.run("make", "--old-file=.venv/installed", "repro")
    assert "Nothing has changed: " in ended.stdout


def test_predict_and_serve_answer_as_without_them(clone, odd):
    picture = odd.path / "gradient.png"
    Image.linear_gradient("L").save(picture)
    program = ("python", "-m", "fitgap.programs.predict", "--json", str(picture))
    expected, told = (json.loads(each.run(*program).stdout) for each in (clone, odd))
    assert told == expected
    port = trial_servers.free_port()
    command = [sys.executable, "-m", "fitgap.programs.serve", "--port", str(port)]
    running = subprocess.Popen(command, cwd=odd.path, env=odd.environment, stdout=subprocess.DEVNULL)
    try:
        trial_servers.wait_for_address(running, f"http://127.0.0.1:{port}/ping")
        content = json.dumps({"inputs": [b64encode(picture.read_bytes()).decode()]}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", content, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            served = json.load(answer)["predictions"][0]
    finally:
        os.kill(running.pid, signal.SIGTERM)
        running.wait(timeout=30)
    assert served.pop("class") == expected["predictions"][0]["class"]
    assert served == pytest.approx(expected["predictions"][0]["probabilities"], abs=1e-5)
