"""Test the scheduler: stages start after their dependencies, and a failure does not affect independent stages."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from dvc.repo import Repo

from fitgap.programs.scheduler import FIRST, REQUIRES, read_plan

LAST = "report"


def test_every_stage_and_all_that_it_needs_is_named(repository):
    with Repo(str(repository)) as opened:
        named = {stage.name.split("@")[0] for stage in opened.index.graph.nodes}
        needed = {tuple(stage.name.split("@")[0] for stage in edge) for edge in opened.index.graph.edges}
    assert named == {FIRST, *REQUIRES, LAST}
    assert {edge for edge in needed if LAST not in edge and edge[1] != FIRST} == {
        (name, other) for name, others in REQUIRES.items() for other in others
    }


def test_sizes_of_the_learning_curve_are_scheduled_separately_the_last_first(repository, monkeypatch):
    monkeypatch.chdir(repository)
    targets = list(read_plan())
    sizes = yaml.safe_load((repository / "params.yaml").read_text())["learning_curve"]["sizes"]
    first = targets.index(f"learning_curve@{sizes[-1]}")
    assert targets[first : first + len(sizes)] == [f"learning_curve@{size}" for size in reversed(sizes)]
    assert [name for name in targets if "@" not in name] == [name for name in REQUIRES if name != "learning_curve"]


@pytest.fixture
def start(tmp_path, repository):
    """Start a pipeline with the same stage names and trivial stages; some can fail, the backbone can wait."""

    def started(*failing: str, backbone_awaits: str | None = None) -> subprocess.Popen:
        stages = {}
        for name in (FIRST, *REQUIRES, LAST):
            needed = REQUIRES[name] if name in REQUIRES else () if name == FIRST else tuple(REQUIRES)
            command = "".join(f"test -f {other}.txt && " for other in needed)
            if name == "backbone" and backbone_awaits:
                found = f"test -f {backbone_awaits}.txt"
                command += f"for _ in $(seq 240); do {found} && break; sleep 0.5; done; {found} && "
            command = "exit 7" if name in failing else f"{command}echo {name} > {name}.txt"
            stages[name] = {"cmd": command, "outs": [f"{name}.txt"], "deps": [f"{other}.txt" for other in needed]}
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        command = [sys.executable, "-m", "fitgap.programs.scheduler"]
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=there, **piped)

    there = {**os.environ, "PYTHONPATH": str(repository)}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    return started


@pytest.fixture
def run(start):
    """Start it and wait for its end."""

    def ran(*arguments, **options) -> subprocess.CompletedProcess:
        process = start(*arguments, **options)
        stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return ran


def left(folder) -> set[str]:
    return {path.stem for path in folder.glob("*.txt")}


def needing(name: str) -> set[str]:
    """Return a stage and all stages that depend on it, directly or through others."""
    return {name}.union(*(needing(other) for other, needed in REQUIRES.items() if name in needed))


def test_all_stages_run_and_all_lines_are_shown(run, tmp_path):
    ended = run()
    assert ended.returncode == 0, ended.stderr
    assert left(tmp_path) == {FIRST, *REQUIRES, LAST}
    for stage in left(tmp_path):
        assert ended.stdout.count(f"Running stage '{stage}'") == 1


def test_a_free_place_goes_to_what_can_run(run, tmp_path):
    assert run(backbone_awaits="highrate").returncode == 0  # which begins when scratch has ended
    assert left(tmp_path) == {FIRST, *REQUIRES, LAST}


@pytest.mark.parametrize("failing", [("backbone",), ("head", "scratch")])
def test_one_that_fails_costs_what_needs_it_and_no_other(run, tmp_path, failing):
    ended = run(*failing)
    assert ended.returncode != 0
    assert "failed to run: exit 7, exited with 7" in ended.stdout + ended.stderr
    assert left(tmp_path) == {FIRST, *REQUIRES}.difference(*map(needing, failing))


def test_nothing_is_begun_where_the_first_stage_fails(run, tmp_path):
    assert run(FIRST).returncode != 0
    assert left(tmp_path) == set()


def test_terminated_it_ends_all_that_it_has_begun_and_the_next_run_can_begin_at_once(run, start, tmp_path):
    process = start(backbone_awaits="nothing")
    there = psutil.Process(process.pid)
    while not (tmp_path / "highrate.txt").exists() or len(there.children()) > 1:  # until backbone alone is left
        assert process.poll() is None
        time.sleep(0.05)
    (dvc,), begun = there.children(), there.children(recursive=True)
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not dvc.is_running()
    assert psutil.wait_procs(begun, timeout=60)[1] == []
    assert run().returncode == 0
    assert left(tmp_path) == {FIRST, *REQUIRES, LAST}
