"""Test the plan: DVC's graph, the order of the stages, and what is left out."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from dvc.exceptions import DvcException

from fitgap.pipeline.plan import Plan, make_plan, read_plan

CHAIN = {"data": (), "base": (), "short": ("data",), "long": ("data", "base"), "longer": ("long",), "report": ()}
NEEDS = {**CHAIN, "report": tuple(name for name in CHAIN if name != "report")}


@pytest.fixture
def fresh(repository, tmp_path, monkeypatch):
    """The shipped pipeline where no stage has run."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(repository / name, tmp_path)
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, env=quiet, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_shipped_stage_starts_after_what_it_needs_and_the_report_needs_all(fresh):
    needs = read_plan().needs
    names = list(needs)
    assert {name.split("@")[0] for name in names} == set(yaml.safe_load((fresh / "dvc.yaml").read_text())["stages"])
    for name in names:
        assert all(names.index(other) < names.index(name) for other in needs[name])
    assert names[-1] == "report"
    assert set(needs["report"]) == set(names) - {"report"}


def test_the_longest_chain_starts_first_then_the_largest_size_of_the_learning_curve(fresh):
    names = list(read_plan().needs)
    params = yaml.safe_load((fresh / "params.yaml").read_text())
    sizes = [f"learning_curve@{size}" for size in reversed(params["learning_curve"]["sizes"])]
    assert set(names[:2]) == {"prepare", "backbone"}
    assert names[2:4] == ["features", f"head@{params['finetune']['head']}"]
    first = names.index(sizes[0])
    assert names[first : first + len(sizes)] == sizes
    assert all(name.startswith("finetune@") for name in names[4:first])


def test_a_pipeline_that_dvc_cannot_read_has_no_plan(fresh):
    (fresh / "dvc.yaml").write_text("stages: {a: {cmd: [}")
    with pytest.raises(DvcException):
        read_plan()


def test_stages_of_other_files_run_only_if_needed(fresh):
    stages = {"data.txt": "echo 1 > data.txt", "other.txt": "echo 1 > other.txt"}
    (fresh / "inner").mkdir()
    inner = {name.split(".")[0]: {"cmd": command, "outs": [name]} for name, command in stages.items()}
    (fresh / "inner/dvc.yaml").write_text(yaml.safe_dump({"stages": inner}))
    outer = {"mine": {"cmd": "true", "deps": ["inner/data.txt"]}}
    (fresh / "dvc.yaml").write_text(yaml.safe_dump({"stages": outer}))
    assert read_plan() == Plan({"inner/dvc.yaml:data": (), "mine": ("inner/dvc.yaml:data",)}, ())


def test_all_that_needs_a_changed_stage_may_run():
    assert make_plan(NEEDS, NEEDS, ["long"]) == Plan(
        {"long": (), "longer": ("long",), "report": ("long", "longer")}, ("data", "base", "short")
    )


def test_nothing_runs_where_nothing_has_changed():
    assert make_plan(NEEDS, NEEDS, []) == Plan({}, tuple(NEEDS))


def test_the_last_in_dvc_yaml_comes_first_among_equals():
    assert list(make_plan(NEEDS, NEEDS, NEEDS).needs) == ["base", "data", "long", "longer", "short", "report"]
