"""Test the plan: DVC's graph, the order of the stages, and what is left out."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

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


def test_shipped_stages_start_by_needs_and_the_longest_chain(fresh):
    needs = read_plan().needs
    names = list(needs)
    assert {name.split("@")[0] for name in names} == set(yaml.safe_load((fresh / "dvc.yaml").read_text())["stages"])
    assert all(names.index(other) < names.index(name) for name in names for other in needs[name])
    assert names[-1] == "report" and set(needs["report"]) == set(names) - {"report"}
    params = yaml.safe_load((fresh / "params.yaml").read_text())
    assert set(names[:2]) == {"prepare", "backbone"}
    assert names[2:4] == ["features", f"head@{params['finetune']['head']}"]
    sizes = [f"learning_curve@{size}" for size in reversed(params["learning_curve"]["sizes"])]
    first = names.index(sizes[0])
    assert names[first : first + len(sizes)] == sizes
    assert names[first - 1] == "choice"
    assert {name.split("@")[0] for name in names[4 : first - 1]} == {"scratch", "head", "finetune"}


def test_stages_of_other_files_run_only_if_needed(fresh):
    stages = {name: {"cmd": f"echo 1 > {name}.txt", "outs": [f"{name}.txt"]} for name in ("data", "other")}
    (fresh / "inner").mkdir()
    (fresh / "inner/dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    outer = {"mine": {"cmd": "true", "deps": ["inner/data.txt"]}}
    (fresh / "dvc.yaml").write_text(yaml.safe_dump({"stages": outer}))
    assert read_plan() == Plan({"inner/dvc.yaml:data": (), "mine": ("inner/dvc.yaml:data",)}, ())


@pytest.mark.parametrize(
    ("changed", "to_run"),
    [
        (["long"], {"long": (), "longer": ("long",), "report": ("long", "longer")}),
        ([], {}),
        (["report", "another file's"], {"report": ()}),
    ],
)
def test_changed_stages_and_what_needs_them_run(changed, to_run):
    unchanged = tuple(name for name in NEEDS if name not in to_run)
    assert make_plan(NEEDS, NEEDS, changed) == Plan(to_run, unchanged)


def test_last_in_dvc_yaml_comes_first_among_equals():
    assert list(make_plan(NEEDS, NEEDS, NEEDS).needs) == ["base", "data", "long", "longer", "short", "report"]
