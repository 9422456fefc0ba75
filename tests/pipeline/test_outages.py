"""Test outages of the tracking server: results are always complete, and missing runs are written later.

Each row uses a real `mlflow server` behind a proxy that breaks requests. The tests run in order on one clone.
"""

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import mlflow
import pytest
from conftest import Clone
from servers import Front, Outage, Server
from stores import differences

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")

PREPARE, SCRATCH, REPORT = "stages.prepare", "stages.scratch baseline", "stages.report"
PROMISED = 30  # seconds that an outage may cost a stage
OF_THE_CLOCK = ("seconds", "images_per_second")  # metrics that no two runs share


def contents(server: Server, of_machine: bool = True) -> Counter:
    """Count all that the store holds but ids, times, writers and revisions; ids in texts become names.

    Without `of_machine`, what depends on the machine that ran a stage is left out too: wall times and processors.
    """
    client = server.client
    (experiment,) = [one.experiment_id for one in client.search_experiments() if one.name == "fitgap"]
    runs, models = client.search_runs([experiment], max_results=1000), client.search_logged_models([experiment])
    names = {run.info.run_id: run.info.run_name for run in runs}
    held = [held_by(client, run, names, of_machine) for run in runs]
    held += [("network of", names.get(model.source_run_id), str(model.status)) for model in models]
    for model in client.search_registered_models():
        of = {str(one.version): one.tags["fitgap.model"] for one in client.search_model_versions()}
        held.append(("registered", model.name, tuple(of.items()), tuple(model.aliases)))
    return Counter(held)


def of_stage(held: Counter, stage: str) -> Counter:
    """Keep what is a stage's: its runs, and networks of theirs."""
    return Counter({one: count for one, count in held.items() if any(str(name).startswith(stage) for name in one[:2])})


def held_by(client: mlflow.MlflowClient, run, names: dict[str, str], of_machine: bool) -> tuple:
    own = ("mlflow.source", "fitgap.writer", "git_", *(() if of_machine else ("processors",)))
    tags = {name: text for name, text in run.data.tags.items() if not name.startswith(own)}
    named = {name: re.sub(r"[0-9a-f]{32}", lambda id_: names.get(id_[0], id_[0]), text) for name, text in tags.items()}
    curves = {}
    for name in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, name)
        curves[name] = tuple(sorted((point.step, repr(point.value)) for point in points))
        if name.endswith(OF_THE_CLOCK):
            curves[name] = "some time"
    if not of_machine:
        curves = {name: curve for name, curve in curves.items() if curve != "some time"}
    inputs = tuple((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs)
    parts = (named, run.data.params, curves)
    return (run.info.run_name, run.info.status, *(tuple(sorted(part.items())) for part in parts), inputs)


def forget(server: Server, stage: str | None = None) -> None:
    """Delete the runs of a stage and their networks, as one may in MLflow's pages; of all stages: everything."""
    client = server.client
    (experiment,) = [one.experiment_id for one in client.search_experiments() if one.name == "fitgap"]
    runs = client.search_runs([experiment], f"tags.stage = '{stage}'" if stage else "", max_results=1000)
    ids = {run.info.run_id for run in runs}
    for model in client.search_logged_models([experiment]):
        if model.source_run_id in ids:
            client.delete_logged_model(model.model_id)
    for run_id in ids:
        client.delete_run(run_id)
    for model in [] if stage else client.search_registered_models():
        client.delete_registered_model(model.name)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server"))
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.fixture(scope="module")
def front(server):
    opened = Front(server)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def clone(clone, tmp_path_factory, front):
    """A clone that logs its runs to the server, through the proxy."""
    clone.variables["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{front.port}"
    clone.edit(**{"highrate.variants": [], "variants": {"baseline": {}}})
    clone.run("dvc", "remote", "add", "--default", "elsewhere", str(tmp_path_factory.mktemp("remote")))
    clone.run("git", "commit", "--all", "--quiet", "-m", "tiny")
    return clone


@pytest.fixture(scope="module")
def undisturbed(clone, server):
    """Contents of the store and of results/ after a run without outages."""
    assert clone.repro() == ["report"]
    return contents(server), bytes_of(clone.path / "results")


def name_of(stage: str) -> str:
    return stage.split()[0].removeprefix("stages.")


def run_stage(clone: Clone, stage: str, check: bool = True) -> subprocess.CompletedProcess:
    return clone.run("python", "-m", *stage.split(), check=check)


@pytest.mark.parametrize("stage", [PREPARE, SCRATCH])
def test_a_stage_writes_itself_what_the_report_would_write(clone, server, undisturbed, stage):
    forget(server, name_of(stage))
    run_stage(clone, stage)
    written, expected = (of_stage(held, name_of(stage)) for held in (contents(server), undisturbed[0]))
    assert expected.total() > 0
    assert differences(expected, written) == []


@pytest.mark.parametrize(
    ("stage", "outage"),
    [
        pytest.param(PREPARE, Outage("down"), id="down at the start"),
        pytest.param(PREPARE, Outage("500"), id="answers 500", marks=pytest.mark.slow),
        pytest.param(PREPARE, Outage("hang"), id="hangs"),
        pytest.param(PREPARE, Outage("slow"), id="crawls", marks=pytest.mark.slow),
        pytest.param(SCRATCH, Outage("die", "runs/log-batch", 2), id="dies while a run is written"),
        pytest.param(
            SCRATCH,
            Outage("hang", "artifacts/1/models/", 2),
            id="hangs while a network is sent",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            REPORT, Outage("hang", "logged-models/search"), id="hangs while the report writes", marks=pytest.mark.slow
        ),
    ],
)
def test_an_outage_costs_one_line_half_a_minute_and_no_result(clone, server, front, undisturbed, stage, outage):
    runs, results = undisturbed
    forget(server, name_of(stage))
    shutil.rmtree(clone.path.joinpath("results", *stage.removeprefix("stages.").split()), ignore_errors=True)
    with front.suffering(outage):
        begin = time.monotonic()
        ended = run_stage(clone, stage, check=False)
        lost = time.monotonic() - (front.begin or begin)
    assert ended.returncode == 0
    assert bytes_of(clone.path / "results") == results
    told = [line for line in ended.stderr.splitlines() if not line.endswith("near_duplicates.csv names them")]
    assert len(told) == 1, ended.stderr
    assert told[0].startswith("fitgap: warning: ") and "the results are safe in results/, `make sync`" in told[0]
    print(f"{lost:.1f} s lost")  # pytest -rP shows the table
    assert lost < PROMISED
    assert runs != contents(server)
    assert run_stage(clone, REPORT).stderr == ""
    assert differences(runs, contents(server)) == []


def test_a_slow_server_costs_the_report_half_a_minute(clone, server, front, undisturbed):
    forget(server)
    with front.suffering(Outage("slow", seconds=1)):
        begin = time.monotonic()
        told = run_stage(clone, REPORT).stderr
        lost = time.monotonic() - (front.begin or begin)
    print(f"{lost:.1f} s lost")
    assert lost < PROMISED
    assert told.count("\n") == 1
    assert re.search(r"\d+ of \d+ MLflow runs neither found nor written.*too slowly.*`make sync`", told)
    assert run_stage(clone, REPORT).stderr == ""
    assert differences(undisturbed[0], contents(server)) == []


@pytest.mark.parametrize(
    ("stage", "nth"),
    [pytest.param(PREPARE, 1, id="of a stage"), pytest.param(SCRATCH, 2, id="of a seed", marks=pytest.mark.slow)],
)
def test_a_run_begun_twice_because_its_answer_was_lost_stands_there_once(clone, server, front, undisturbed, stage, nth):
    forget(server, name_of(stage))
    with front.suffering(Outage("lose", "runs/create", nth)):
        assert "warning" not in run_stage(clone, stage).stderr
    assert "RUNNING" in str(contents(server))
    run_stage(clone, REPORT)
    assert differences(undisturbed[0], contents(server)) == []


def test_what_dvc_restores_from_its_cache_gets_its_runs(clone, server, undisturbed):
    forget(server)
    for name in ("data/prepared", "data/backbone", "data/features", "models", "results", "reports"):
        shutil.rmtree(clone.path / name)
    (clone.path / "dvc.lock").unlink()
    assert clone.repro() == ["report"]
    assert differences(undisturbed[0], contents(server)) == []


@pytest.mark.slow
def test_what_is_pulled_on_another_machine_gets_its_runs_there(clone, server, undisturbed, tmp_path):
    clone.run("git", "add", "dvc.lock")
    clone.run("git", "commit", "--quiet", "-m", "results")
    clone.run("dvc", "push")
    clone.run("git", "clone", "--quiet", str(clone.path), str(tmp_path / "pulled"))
    there, before = Clone(tmp_path / "pulled", clone.variables), contents(server, of_machine=False)
    forget(server)
    there.run("dvc", "pull")
    assert there.repro() == ["report"]
    # Wall times and processors are in no DVC output: they belong to the machine that ran the stage.
    assert differences(before, contents(server, of_machine=False)) == []
