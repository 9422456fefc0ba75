"""Test two clones that report at the same moment to one server on PostgreSQL, and a database without a server."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from servers import Server
from trial_servers import postgres, postgres_binaries

CODE = Path(__file__).parents[1] / "code"
ROUNDS = 10
# One round per line of its input: a fresh experiment, two results that both clones have, and one of its own.
CLONE = """
import json, os, sys
import mlflow, tracking_samples as samples
from fitgap.tracking import runs, store
for line in sys.stdin:
    os.environ["MLFLOW_EXPERIMENT_NAME"] = line.strip()
    own, shared = (samples.model(name, seeds=(0,)) for name in (sys.argv[1], "baseline"))
    ids = runs.log_results([own, shared, samples.single()])
    with store.open_store() as opened:
        opened.client.create_registered_model(line.strip())
    print(json.dumps(ids), flush=True)
"""


def _lacks() -> str | None:
    if sys.platform == "win32" or postgres_binaries() is None:
        return "PostgreSQL is not installed (`make database`)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg, the driver of PostgreSQL, is not installed"
    return None


pytestmark = pytest.mark.skipif(_lacks() is not None, reason=str(_lacks()))


@pytest.fixture(scope="module")
def database():
    with postgres() as address:
        yield address


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server"), database)
    try:
        started.start()
        yield started
    finally:
        started.kill()


def clone(folder: Path, name: str, address: str, code: str = CLONE, **variables: str) -> subprocess.Popen:
    (folder / name).mkdir(exist_ok=True)
    given = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    paths = os.pathsep.join([str(CODE), str(CODE.parents[1])])
    environment = {**given, "PYTHONPATH": paths, "MLFLOW_TRACKING_URI": address, **variables}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, name], cwd=folder / name, env=environment, **pipes)


def test_two_clones_that_report_at_once_write_every_run_once(server, tmp_path):
    both = [clone(tmp_path, name, f"http://127.0.0.1:{server.port}") for name in ("ada", "ben")]
    answers = []
    for number in range(ROUNDS):
        for one in both:
            one.stdin.write(f"round-{number}\n")
            one.stdin.flush()
        answers.append([json.loads(one.stdout.readline() or "{}") for one in both])
    told = [one.communicate()[1] for one in both]
    assert told == ["", ""]
    for number, (ada, ben) in enumerate(answers):
        assert {name: ada[name] for name in ada.keys() & ben.keys()} == {"prepare": ben["prepare"]} | {
            "scratch@baseline": ben["scratch@baseline"]
        }
        experiment = server.client.get_experiment_by_name(f"round-{number}")
        runs = server.client.search_runs([experiment.experiment_id])
        assert {run.info.status for run in runs} == {"FINISHED"}
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert {run.info.run_id for run in parents} == {*ada.values(), *ben.values()}
        names = Counter(run.info.run_name for run in runs)
        assert set(names.values()) == {1} and len(names) == 1 + 3 * 2
    assert len(server.client.search_registered_models()) == ROUNDS


def test_a_database_without_a_server_is_told_once_and_shares_no_folder(database, tmp_path):
    code = "import tracking_samples as s; from fitgap.tracking import runs; print(runs.log_results([s.single()]))"

    def run(name: str, experiment: str = "direct") -> tuple[str, str]:
        return clone(tmp_path, name, database, code, MLFLOW_EXPERIMENT_NAME=experiment).communicate()

    wrote, told = run("ada")
    assert "prepare" in wrote and told.count("\n") == 1
    assert "the files of its runs stay in this repository's mlruns/" in told and "`mlflow server`" in told
    assert run("ada") == (wrote, "")
    wrote, told = run("ben")
    assert wrote == "{}\n" and told.count("\n") == 1
    assert f"go to {tmp_path / 'ada' / 'mlruns'}, the folder of another repository" in told
    assert "prepare" in run("ben", "bens")[0]
    assert (tmp_path / "ben" / "mlruns").is_dir()
