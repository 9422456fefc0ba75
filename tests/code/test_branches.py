"""The pipeline's branches: none needs another, and what fails in one costs the others nothing."""

import os
import subprocess
import sys

import pytest
import yaml
from dvc.repo import Repo

from fitgap.branches import BRANCHES, FIRST

LAST = "report"


@pytest.fixture(scope="module")
def needed(repository) -> set[tuple[str, str]]:
    """Pairs of stages by DVC's own graph: one, and another whose outputs it reads."""
    with Repo(str(repository)) as opened:
        return {tuple(stage.name.split("@")[0] for stage in edge) for edge in opened.index.graph.edges}


def test_every_stage_has_its_place(repository):
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    assert sorted(stages) == sorted([FIRST, *(stage for branch in BRANCHES for stage in branch), LAST])


def test_a_stage_needs_but_the_first_and_earlier_ones_of_its_branch(needed):
    (transfer, scratch) = BRANCHES
    assert ("features", "backbone") in needed
    for stage, other in needed:
        if LAST in (stage, other) or other == FIRST:
            continue
        (branch,) = (branch for branch in (transfer, scratch) if stage in branch)
        assert other in branch[: branch.index(stage)], (stage, other)


@pytest.fixture
def run(tmp_path, repository):
    """Run a pipeline of the same names whose stages do next to nothing; `failing` fails."""

    def ran(failing: str | None = None) -> subprocess.CompletedProcess:
        commands = {name: f"echo {name} > {name}.txt" for branch in BRANCHES for name in (FIRST, *branch, LAST)}
        if failing:
            commands[failing] = "exit 7"
        stages = {name: {"cmd": command, "outs": [f"{name}.txt"]} for name, command in commands.items()}
        stages[LAST]["deps"] = [f"{name}.txt" for name in commands if name != LAST]
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        command = [sys.executable, "-m", "fitgap.branches"]
        return subprocess.run(command, cwd=tmp_path, env=there, capture_output=True, text=True, check=False)

    there = {**os.environ, "PYTHONPATH": str(repository)}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    return ran


def left(folder) -> set[str]:
    return {path.stem for path in folder.glob("*.txt")}


def test_all_stages_run_and_all_lines_are_shown(run, tmp_path):
    ended = run()
    assert ended.returncode == 0, ended.stderr
    every = {FIRST, LAST, *(stage for branch in BRANCHES for stage in branch)}
    assert left(tmp_path) == every
    for stage in every:
        assert ended.stdout.count(f"Running stage '{stage}'") == 1


@pytest.mark.parametrize("failing", ["backbone", "scratch"])
def test_one_that_fails_ends_its_branch_and_not_the_other(run, tmp_path, failing):
    ended = run(failing)
    assert ended.returncode != 0
    assert "failed to run: exit 7, exited with 7" in ended.stdout + ended.stderr
    (lost,) = (branch for branch in BRANCHES if failing in branch)
    assert left(tmp_path) == {FIRST, *(stage for branch in BRANCHES if branch is not lost for stage in branch)}


def test_nothing_is_begun_where_the_first_stage_fails(run, tmp_path):
    assert run(FIRST).returncode != 0
    assert left(tmp_path) == set()
