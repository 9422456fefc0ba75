"""Test the trial cluster: what runs in it, who is let in, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "tests/pipeline/trial_cluster.py"]
# Prints the cluster that it finds, and ends with status 7.
INSIDE = """
import json, os, sys, urllib.request
import ray
def node():
    return ray.get_runtime_context().get_node_id()
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
task = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(node)
print(json.dumps({
    "cpus": sorted(each["Resources"].get("CPU", 0) for each in ray.nodes()),
    "hosts": sorted({each["NodeManagerAddress"] for each in ray.nodes()}),
    "nodes": len(set(ray.get([task.remote() for _ in range(8)]))),
    "server": urllib.request.urlopen(os.environ["MLFLOW_TRACKING_URI"] + "/health").read().decode(),
}))
sys.exit(7)
"""
VARIABLES = {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (`make cluster`)")


@pytest.fixture
def short():
    """A folder whose path leaves room for the names of Ray's sockets, which may have 107 characters in all."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as another user
        yield Path(name)


@pytest.fixture
def start(repository, short):
    """Start the trial cluster; it ends with the test."""
    running = []

    def start(*command: str) -> subprocess.Popen:
        others = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_"))}
        variables = {**others, "TMPDIR": str(short), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        running.append(subprocess.Popen([*PROGRAM, *command], cwd=repository, env=variables, **pipes))
        return running[-1]

    yield start
    for process in running:
        process.terminate()
        process.wait()


@needs_ray
@pytest.mark.slow
def test_command_runs_in_a_cluster_that_ends_with_it(start, short):
    process = start(sys.executable, "-c", INSIDE)
    found = json.loads(process.communicate()[0])
    assert process.returncode == 7
    assert found == {"cpus": [0, 1, 1], "hosts": ["127.0.0.1"], "nodes": 2, "server": "OK"}
    assert list(short.iterdir()) == []


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_without_a_command_it_prints_variables_and_waits(start, short, number, status):
    process = start()
    lines = [process.stdout.readline().strip() for _ in range(len(VARIABLES) + 2)]
    names = {line.removeprefix("export ").split("=")[0] for line in lines[:-1]}
    assert names == VARIABLES | {"MLFLOW_TRACKING_URI"} and "Ctrl-C" in lines[-1]
    process.send_signal(number)
    assert process.wait(timeout=300) == status
    assert list(short.iterdir()) == []


def test_without_ray_it_says_what_to_install(repository):
    code = "import sys; sys.path[0], sys.modules['ray'] = 'tests/pipeline', None; import trial_cluster as t; t.main()"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "fitgap: not installed: ray; `make cluster` installs it\n"
