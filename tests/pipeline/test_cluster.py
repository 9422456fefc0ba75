"""Test the work on a real Ray cluster: a head without CPUs and two nodes, all on this machine."""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
import yaml
from conftest import Clone
from trial_ray import RayCluster, kill_family

pytest.importorskip("ray", reason="Ray is not installed: `make cluster`")
pytestmark = pytest.mark.slow  # tests/code/cluster tests the same code without Ray

KILLS = int(os.environ.get("FITGAP_KILLS", "10"))
PREFLIGHT = (sys.executable, "-m", "fitgap.programs.preflight")


@pytest.fixture(scope="module")
def cluster():
    with RayCluster(1, 1) as running:
        yield running


@pytest.fixture(scope="module")
def clone(first, cluster, tmp_path_factory) -> Clone:
    """A copy of the repository after its first run, whose programs use the cluster."""
    folder = tmp_path_factory.mktemp("cluster") / "clone"
    shutil.copytree(first.path, folder, symlinks=True)
    made = Clone(folder, cluster.variables)
    made.run(sys.executable, "-m", "fitgap.tracking.relocate")
    return made


def outputs(clone: Clone) -> dict[str, str]:
    """Return the hash of every output by its path, from dvc.lock."""
    stages = yaml.safe_load((clone.path / "dvc.lock").read_text())["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


def run_code(clone: Clone, code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run Python code in the clone as a stage runs, with one line for a mistake of the user."""
    program = f"import sys; from fitgap import lifecycle\n{code}\nsys.argv[0] = 'here.py'; lifecycle.run(main)"
    return Clone(clone.path, {**clone.variables, **variables}).run(sys.executable, "-c", program, check=False)


def test_the_whole_pipeline_gives_the_bytes_of_one_machine(first, clone):
    for folder in ("data/prepared", "data/features", "models", "results", "checkpoints"):
        shutil.rmtree(clone.path / folder, ignore_errors=True)
    ended = clone.run(sys.executable, "-m", "dvc", "repro", "--force")
    assert "on another kind" not in ended.stderr
    assert outputs(clone) == outputs(first)


@pytest.mark.parametrize("victim", ["node", "stage"])
def test_what_dies_costs_no_result(first, clone, cluster, victim):
    moments = random.Random(int(os.environ.get("FITGAP_SEED", "0")))
    stages = itertools.cycle(["features", "scratch@baseline", "head@baseline", "finetune@block5", "learning_curve@20"])
    killed = 0
    while killed < KILLS:
        command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", next(stages)]
        piped = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        running = subprocess.Popen(command, cwd=clone.path, env=clone.environment, **piped)
        time.sleep(moments.uniform(3, 15))
        if running.poll() is None:
            killed += 1
            if victim == "node":
                cluster.kill(len(cluster.nodes) - 1)
                cluster.add(1)
            else:
                kill_family(running.pid)
                running.communicate()
                running = subprocess.Popen(command, cwd=clone.path, env=clone.environment, **piped)
        _, said = running.communicate(timeout=600)
        assert running.returncode == 0, said
    assert outputs(clone) == outputs(first)


@pytest.mark.parametrize("changes", [{"RAY_AUTH_TOKEN": "f" * 64}, {"RAY_AUTH_MODE": "disabled"}])
def test_a_wrong_token_gets_one_line(clone, changes):
    ended = Clone(clone.path, {**clone.variables, **changes}).run(*PREFLIGHT, check=False)
    assert "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN must be those of the cluster's head" in ended.stderr
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os._exit(3)", "fitgap: asis: the task a was given up after 6 attempts, often for lack of memory"),
        ("raise UserError(f'{item}: too small')", "fitgap: a: too small"),
    ],
)
def test_failure_of_a_task_is_one_line(clone, body, message):
    (clone.path / "failing.py").write_text(
        f"import os\nfrom fitgap.system.errors import UserError\n\n\ndef run(item):\n    {body}\n"
    )
    code = (
        "def main():\n    from fitgap.cluster.work import Cluster\n"
        "    list(Cluster('asis', 1).map('failing:run', ['a']))"
    )
    ended = run_code(clone, code)
    assert ended.returncode == 1 and message in ended.stderr


def test_another_processor_is_told_of_once_and_recorded(clone):
    code = """
def main():
    from fitgap.cluster import work
    work.describe_processor = lambda: "Acme 1"
    cluster = work.Cluster("asis", 1)
    list(cluster.map("builtins:str", [1, 2, 3]))
    print(len(cluster.processors))
"""
    ended = run_code(clone, code)
    (line,) = ended.stderr.strip().splitlines()
    assert "asis: some tasks ran on another kind of processor than this machine's" in line
    assert ended.stdout == "3\n"
    recorded = [json.loads(path.read_text()) for path in (clone.path / "timings").glob("*.json")]
    assert {sum(one["processors"].values()) for one in recorded if one["stage"].startswith("scratch@")} == {2}


def test_gpus_are_seen_by_the_tasks_that_use_them_only(clone):
    (clone.path / "looking.py").write_text(
        "import os\n\n\ndef run(_):\n    return os.environ['CUDA_VISIBLE_DEVICES']\n"
    )
    code = """
def main():
    from fitgap.cluster.work import Cluster
    print(*{value for _, value in Cluster("asis", 1).map("looking:run", range(3))})
"""
    assert run_code(clone, code).stdout == "-1\n"
    with RayCluster(2, gpus=1) as cluster:
        assert run_code(Clone(clone.path, cluster.variables), code).stdout == "0\n"


def test_a_node_without_the_repository_says_so(clone, tmp_path):
    code = f"""
def main():
    import os
    from fitgap.cluster.work import Cluster
    sys.path[:] = [path for path in sys.path if not os.path.isdir(os.path.join(path, "fitgap"))]  # Ray hands it on
    os.chdir({str(tmp_path)!r})
    list(Cluster("asis", 1).map("builtins:str", [1]))
"""
    ended = run_code(clone, code)
    assert ended.returncode == 1
    assert f"asis: a node has no repository at {tmp_path}: every node needs it at this path" in ended.stderr
