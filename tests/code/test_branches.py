"""Two stages at a time: none begins before what it needs, and what fails costs the others nothing."""

import os
import subprocess
import sys

import pytest
import yaml
from dvc.repo import Repo

from fitgap.branches import FIRST, NEEDED

LAST = "report"


def test_every_stage_and_all_that_it_needs_is_named(repository):
    with Repo(str(repository)) as opened:
        named = {stage.name.split("@")[0] for stage in opened.index.graph.nodes}
        needed = {tuple(stage.name.split("@")[0] for stage in edge) for edge in opened.index.graph.edges}
    assert named == {FIRST, *NEEDED, LAST}
    assert {edge for edge in needed if LAST not in edge and edge[1] != FIRST} == {
        (name, other) for name, others in NEEDED.items() for other in others
    }


@pytest.fixture
def run(tmp_path, repository):
    """Run a pipeline of the same names whose stages do next to nothing: `failing` fails, `slow` takes its time."""

    def ran(failing: str | None = None, slow: str | None = None) -> subprocess.CompletedProcess:
        stages = {}
        for name in (FIRST, *NEEDED, LAST):
            needed = NEEDED[name] if name in NEEDED else () if name == FIRST else tuple(NEEDED)
            command = "".join(f"test -f {other}.txt && " for other in needed)
            command += f"sleep {5 if name == slow else 0} && echo {name} > {name}.txt"
            command = "exit 7" if name == failing else command
            stages[name] = {"cmd": command, "outs": [f"{name}.txt"], "deps": [f"{other}.txt" for other in needed]}
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        command = [sys.executable, "-m", "fitgap.branches"]
        return subprocess.run(command, cwd=tmp_path, env=there, capture_output=True, text=True, check=False)

    there = {**os.environ, "PYTHONPATH": str(repository)}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    return ran


def left(folder) -> set[str]:
    return {path.stem for path in folder.glob("*.txt")}


def needing(name: str) -> set[str]:
    """Give a stage and all that needs it."""
    return {name, *(other for other, needed in NEEDED.items() if name in needed)}


def test_all_stages_run_and_all_lines_are_shown(run, tmp_path):
    ended = run()
    assert ended.returncode == 0, ended.stderr
    assert left(tmp_path) == {FIRST, *NEEDED, LAST}
    for stage in left(tmp_path):
        assert ended.stdout.count(f"Running stage '{stage}'") == 1


def test_a_free_place_goes_to_what_can_run(run):
    ended = run(slow="backbone")
    lines = [line for line in ended.stdout.splitlines() if "Running stage" in line]
    order = [line.split("'")[1] for line in lines]
    assert {"scratch", "highrate"} == set(order[1:4]) - {"backbone"}
    assert order.index("features") > order.index("backbone")


@pytest.mark.parametrize("failing", ["backbone", "head", "scratch"])
def test_one_that_fails_costs_what_needs_it_and_no_other(run, tmp_path, failing):
    ended = run(failing)
    assert ended.returncode != 0
    assert "failed to run: exit 7, exited with 7" in ended.stdout + ended.stderr
    assert left(tmp_path) == {FIRST, *NEEDED} - needing(failing)


def test_nothing_is_begun_where_the_first_stage_fails(run, tmp_path):
    assert run(FIRST).returncode != 0
    assert left(tmp_path) == set()
