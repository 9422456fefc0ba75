"""Test outages of the tracking server: results are always complete, and missing runs are written later.

Each test uses a real `mlflow server`. They run in order on one clone.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from conftest import Clone
from servers import Server, proxy
from stores import Contents, contents, differences

# Quick siblings: tests/code/tracking/test_tracking_store.py and test_tracking_runs.py.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="process groups")]

PREPARE, SCRATCH, REPORT = "stages.prepare", "stages.scratch baseline", "stages.report"


def forget(server: Server, stage: str) -> None:
    """Delete the runs of a stage and their networks, as one may in MLflow's pages."""
    client = server.client
    experiment = client.get_experiment_by_name("fitgap").experiment_id
    ids = {run.info.run_id for run in client.search_runs([experiment], f"tags.stage = '{stage}'")}
    for model in client.search_logged_models([experiment]):
        if model.source_run_id in ids:
            client.delete_logged_model(model.model_id)
    for run_id in ids:
        client.delete_run(run_id)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def clone(clone, server):
    """A clone that logs its runs to the server."""
    clone.variables["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{server.port}"
    clone.edit(**{"highrate.variants": [], "variants": {"baseline": {}}})
    clone.run("git", "commit", "--all", "--quiet", "-m", "tiny")
    return clone


@pytest.fixture(scope="module")
def undisturbed(clone, server) -> tuple[Contents, dict[str, bytes]]:
    """Contents of the store and of results/ after a run without outages, in which nothing had to be trained."""
    assert clone.repro() == ["choice", "report"]
    return contents(server.folder / "mlflow.db"), bytes_of(clone.path / "results")


def run_stage(clone: Clone, stage: str) -> subprocess.CompletedProcess:
    return clone.run("python", "-m", *stage.split())


def told(ended: subprocess.CompletedProcess) -> list[str]:
    """Give the lines on standard error, without those of `prepare` on the images."""
    return [
        line for line in ended.stderr.splitlines() if "near_duplicates.csv" not in line and " classes: " not in line
    ]


@pytest.mark.parametrize(
    ("stage", "outage"),
    [(PREPARE, Server.down), (PREPARE, Server.hanging), (SCRATCH, Server.dying), (REPORT, Server.hanging)],
    ids=["down at the start", "hangs", "dies while a run is written", "hangs while the report writes"],
)
def test_outage_costs_one_line_and_no_result(clone, server, undisturbed, stage, outage):
    runs, results = undisturbed
    forget(server, stage.split()[0].removeprefix("stages."))
    shutil.rmtree(clone.path.joinpath("results", *stage.removeprefix("stages.").split()), ignore_errors=True)
    with outage(server):
        lines = told(run_stage(clone, stage))
    assert bytes_of(clone.path / "results") == results
    assert len(lines) == 1 and lines[0].startswith("fitgap: warning: ")
    assert "the results are safe in results/, `make sync`" in lines[0]
    assert runs != contents(server.folder / "mlflow.db")
    assert run_stage(clone, REPORT).stderr == ""
    assert differences(runs, contents(server.folder / "mlflow.db")) == []


def test_refused_uploads_are_named_and_all_else_arrives(clone, server, undisturbed):
    """A proxy before the server takes no large files (mlflow#10332). The store is in order, so it is no outage."""
    forget(server, "report")
    largest = 100_000  # bytes, which report.html exceeds
    assert (clone.path / "reports/report.html").stat().st_size > largest
    with proxy(server.port, largest) as port:
        behind = Clone(clone.path, clone.variables | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"})
        (line,) = told(run_stage(behind, REPORT))
    assert "report: report.html is not in its MLflow run" in line and "413" in line and "<" not in line
    (run,) = server.client.search_runs(["1"], "tags.stage = 'report'")
    files = {
        file.path for file in mlflow.MlflowClient(f"http://127.0.0.1:{server.port}").list_artifacts(run.info.run_id)
    }
    assert run.info.status == "FINISHED" and {"record.json", "summary.csv", "claims.json"} <= files
    assert "report.html" not in files
