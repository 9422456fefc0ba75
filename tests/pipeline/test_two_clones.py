"""Test two clones that report at the same moment to one server on PostgreSQL."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import Server
from trial_servers import postgres, postgres_binaries

CODE = Path(__file__).parents[1] / "code"
ROUNDS = 3
# One round per line of its input: two results that both clones have, and one of its own.
CLONE = """
import json, sys
import mlflow, tracking_samples as samples
from fitgap.tracking import runs
for line in sys.stdin:
    results = [samples.model(name + line.strip(), seeds=(0,)) for name in (sys.argv[1], "shared")]
    print(json.dumps(runs.log_results([*results, samples.single(rounds=int(line))])), flush=True)
"""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32" or not postgres_binaries(), reason="no PostgreSQL (`make database`)"),
]


@pytest.fixture
def server(tmp_path):
    with postgres() as address, Server(tmp_path, address) as started:
        yield started


def clone(folder: Path, server: Server) -> subprocess.Popen:
    folder.mkdir()
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    paths = os.pathsep.join([str(CODE), str(CODE.parents[1])])
    variables |= {"PYTHONPATH": paths, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", CLONE, folder.name], cwd=folder, env=variables, **pipes)


def test_two_clones_that_report_at_once_have_all_their_runs_in_the_end(server, tmp_path):
    clones = [clone(tmp_path / name, server) for name in ("ada", "ben")]
    # In the second pass, each clone writes what a conflict with the other kept out, and writes nothing twice.
    for number in [*range(ROUNDS), *range(ROUNDS)]:
        for process in clones:
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for process in clones]
    for process in clones:
        process.communicate()
    assert [len(ids) for ids in answers] == [3, 3]
    experiment = server.client.get_experiment_by_name("fitgap").experiment_id
    runs = server.client.search_runs([experiment], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    names = {run.info.run_name for run in runs if "seed" not in run.data.tags}
    expected = {f"scratch@{name}{number}" for name in ("ada", "ben", "shared") for number in range(ROUNDS)}
    assert names == {*expected, "prepare"}
