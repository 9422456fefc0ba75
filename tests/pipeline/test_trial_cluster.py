"""Test the trial cluster: what runs in it, who is let in, and that it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROGRAM = [sys.executable, "-m", "fitgap.programs.trial_cluster"]
VARIABLES = {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
VARIABLES |= {"MLFLOW_TRACKING_URI"}
# Prints what it finds, and ends with status 7.
INSIDE = """
import json, os, sys, urllib.request
import ray
def node():
    return ray.get_runtime_context().get_node_id()
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
task = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(node)
nodes = ray.nodes()
found = {
    "cpus": sorted(one["Resources"].get("CPU", 0) for one in nodes),
    "hosts": sorted({one["NodeManagerAddress"] for one in nodes}),
    "nodes": len(set(ray.get([task.remote() for _ in range(8)]))),
    "server": urllib.request.urlopen(os.environ["MLFLOW_TRACKING_URI"] + "/health").read().decode(),
    "addresses": [os.environ["RAY_ADDRESS"], os.environ["MLFLOW_TRACKING_URI"]],
}
print(json.dumps(found))
sys.exit(7)
"""
STRANGER = """
import os
os.environ["RAY_AUTH_TOKEN"] = "0" * 64
import ray
try:
    ray.init(address=os.environ["RAY_ADDRESS"])
except Exception as error:
    print(type(error).__name__, error)
"""
# Says when it has started, and at SIGTERM whether the servers are still there.
LASTING = """
import os, signal, socket, sys, time
from urllib.parse import urlsplit
def end(*_):
    places = [urlsplit("//" + os.environ["RAY_ADDRESS"]), urlsplit(os.environ["MLFLOW_TRACKING_URI"])]
    there = [socket.socket().connect_ex((place.hostname, place.port)) == 0 for place in places]
    sys.exit(print("told to end while Ray and MLflow still run:", all(there), flush=True))
signal.signal(signal.SIGTERM, end)
print("started", flush=True)
time.sleep(600)
"""

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (`make cluster`)")


def environment(folder: Path) -> dict[str, str]:
    given = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_"))}
    return {**given, "TMPDIR": str(folder), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def listens(address: str) -> bool:
    parts = urlsplit(address if "//" in address else f"//{address}")
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) == 0


@pytest.fixture
def short():
    """A folder whose path leaves room for the names of Ray's sockets, which may have 107 characters in all."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as another user
        yield Path(name)


@needs_ray
def test_a_command_runs_in_a_cluster_that_ends_with_it(repository, short):
    command = [*PROGRAM, sys.executable, "-c", INSIDE]
    ended = subprocess.run(command, cwd=repository, env=environment(short), capture_output=True, text=True, check=False)
    assert ended.returncode == 7, ended.stderr
    found = json.loads(ended.stdout)
    assert found["cpus"] == [0, 1, 1] and found["hosts"] == ["127.0.0.1"]
    assert found["nodes"] == 2 and found["server"] == "OK"
    assert not any(listens(address) for address in found["addresses"])
    assert list(short.iterdir()) == []


@contextmanager
def started(repository: Path, folder: Path, *command: str) -> Iterator[subprocess.Popen]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    running = subprocess.Popen([*PROGRAM, *command], cwd=repository, env=environment(folder), **pipes)
    try:
        yield running
    finally:
        if running.poll() is None:  # a test has failed
            running.terminate()
            running.wait()


@needs_ray
def test_without_a_command_it_prints_variables_and_stops_at_ctrl_c(repository, short):
    with started(repository, short) as running:
        lines = [running.stdout.readline().strip() for _ in range(len(VARIABLES) + 1)]
        printed = dict(line.removeprefix("export ").split("=", 1) for line in lines[:-1])
        assert printed.keys() == VARIABLES and "Ctrl-C" in lines[-1]
        command = [sys.executable, "-c", STRANGER]
        stranger = subprocess.run(
            command, env=environment(short) | printed, capture_output=True, text=True, check=False
        )
        assert stranger.stdout.startswith("ConnectionError") and "InvalidAuthToken" in stranger.stderr
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=300) == 0
    assert not any(listens(printed[name]) for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"))
    assert list(short.iterdir()) == []


@needs_ray
def test_sigterm_ends_the_command_first(repository, short):
    with started(repository, short, sys.executable, "-c", LASTING) as running:
        assert running.stdout.readline() == "started\n"
        running.terminate()
        assert running.wait(timeout=300) == 128 + signal.SIGTERM
        assert running.stdout.read() == "told to end while Ray and MLflow still run: True\n"
    assert list(short.iterdir()) == []


def test_without_ray_it_says_what_to_install(repository, short):
    code = (
        "import sys; sys.modules['ray'] = None; from fitgap.programs import trial_cluster as t; t.lifecycle.run(t.main)"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=repository, env=environment(short), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "fitgap: not installed: ray; `make cluster` installs it\n"
