"""Test the scheduler: stages start after their dependencies, and a failure does not affect independent stages."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import yaml

from fitgap.cluster import connection
from fitgap.params.reading import load_params
from fitgap.pipeline.plan import Plan
from fitgap.programs import dvc_process, scheduler

# A pipeline of trivial stages: name -> stages that it needs.
FIRST, LAST = "prepare", "report"
NEEDS = {
    FIRST: (),
    "backbone": (FIRST,),
    "features": (FIRST, "backbone"),
    "head-a": ("features",),
    "head-b": ("features",),
    "scratch": (FIRST,),
    "highrate": (FIRST,),
}
NEEDS[LAST] = tuple(NEEDS)
ALL = set(NEEDS)


@pytest.fixture
def start(tmp_path, repository):
    """Start the trivial pipeline; some stages can fail or be killed, the backbone can wait for a stage's file."""

    def started(*failing: str, failure: str = "exit 7", backbone_awaits: str | None = None) -> subprocess.Popen:
        stages = {}
        for name, needed in NEEDS.items():
            command = "".join(f"test -f {other}.txt && " for other in needed)
            if name == "backbone" and backbone_awaits:
                found = f"test -f {backbone_awaits}.txt"
                command += f"for _ in $(seq 240); do {found} && break; sleep 0.5; done; {found} && "
            command = failure if name in failing else f"{command}echo {name} > {name}.txt"
            stages[name] = {"cmd": command, "outs": [f"{name}.txt"], "deps": [f"{other}.txt" for other in needed]}
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
        command = [sys.executable, "-m", "fitgap.programs.scheduler"]
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=there, start_new_session=True, **piped)

    there = {**os.environ, "PYTHONPATH": str(repository), "DVC_NO_ANALYTICS": "1"}
    shutil.copy(repository / "params.yaml", tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, env=there, check=True)
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
    return {name}.union(*(needing(other) for other, needed in NEEDS.items() if name in needed))


def wait_until_the_backbone_is_alone(process, folder) -> list[psutil.Process]:
    """Wait until all but the backbone and what needs it have ended; return all descendants of the scheduler."""
    while left(folder) != ALL - needing("backbone"):
        assert process.poll() is None
        time.sleep(0.05)
    return psutil.Process(process.pid).children(recursive=True)


def test_all_stages_run_and_all_lines_are_shown(run, tmp_path):
    ended = run()
    assert ended.returncode == 0, ended.stderr
    assert left(tmp_path) == ALL
    for stage in ALL:
        assert ended.stdout.count(f"Running stage '{stage}'") == 1
        assert ended.stdout.count(f"] {stage}: started; ") == ended.stdout.count(f"] {stage}: done in ") == 1
    assert f"[1/{len(ALL)}] {FIRST}: started; 0 s so far, 1 running, {len(ALL) - 1} waiting" in ended.stdout
    assert f"[{len(ALL)}/{len(ALL)}] {LAST}: done in " in ended.stdout


def test_only_what_has_changed_runs_again(run, tmp_path):
    assert run().returncode == 0
    (tmp_path / "features.txt").unlink()
    ended = run()
    assert ended.returncode == 0
    assert left(tmp_path) == ALL
    assert f"stages to run: {len(needing('features'))}, unchanged: {len(ALL - needing('features'))}" in ended.stdout
    assert "] scratch: started" not in ended.stdout
    assert "stages to run: 0," in run().stdout


def test_a_free_place_goes_to_what_can_run(run, tmp_path):
    assert run(backbone_awaits="highrate").returncode == 0  # which begins when scratch has ended
    assert left(tmp_path) == ALL


@pytest.mark.parametrize("failing", [("backbone",), ("head-a", "scratch")])
def test_one_that_fails_costs_what_needs_it_and_no_other(run, tmp_path, failing):
    ended = run(*failing)
    assert ended.returncode == 255
    assert "failed to run: exit 7, exited with 7" in ended.stdout + ended.stderr
    assert left(tmp_path) == ALL.difference(*map(needing, failing))
    for stage in failing:
        assert f"] {stage}: FAILED after " in ended.stdout
    assert f"{LAST}\n" in ended.stdout.partition("skipped, because they need it: ")[2]


def test_one_that_is_killed_with_its_process_is_one_that_fails(run, tmp_path):
    ended = run("backbone", failure="kill -KILL $PPID")
    assert ended.returncode == 128 + signal.SIGKILL
    assert left(tmp_path) == ALL - needing("backbone")
    assert run().returncode == 0


def test_nothing_is_begun_where_the_first_stage_fails(run, tmp_path):
    assert run(FIRST).returncode != 0
    assert left(tmp_path) == set()


def test_a_pipeline_that_dvc_cannot_read_gets_its_message(run, tmp_path):
    assert run().returncode == 0
    (tmp_path / "dvc.lock").write_text("schema: [")
    ended = run()
    assert ended.returncode == 255
    assert "'dvc.lock' is invalid" in ended.stderr.replace("./", "")


def test_terminated_it_ends_all_that_it_has_begun_and_the_next_run_can_begin_at_once(run, start, tmp_path):
    process = start(backbone_awaits="nothing")
    begun = wait_until_the_backbone_is_alone(process, tmp_path)
    own = [each for each in begun if each.ppid() == process.pid]
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not any(each.is_running() for each in own)
    assert psutil.wait_procs(begun, timeout=60)[1] == []
    assert not any(json.loads((tmp_path / ".dvc/tmp/rwlock").read_text()).values())  # DVC has released its locks
    assert run().returncode == 0
    assert left(tmp_path) == ALL


def test_interrupted_from_the_keyboard_it_ends_all_that_it_has_begun(start, tmp_path):
    process = start(backbone_awaits="nothing")
    begun = wait_until_the_backbone_is_alone(process, tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in "".join(said)
    assert psutil.wait_procs(begun, timeout=60)[1] == []


@pytest.mark.parametrize(
    ("cores", "threads", "places"),
    [(1, 1, 1), (1, "all", 1), (2, 1, 2), (2, 2, 2), (16, "all", 2), (6, 1, 6), (8, 2, 4), (64, 1, 8)],
)
def test_places_are_as_many_as_the_machine_holds(repository, monkeypatch, cores, threads, places):
    params = load_params(repository / "params.yaml")
    compute = params.compute.model_copy(update={"threads": threads})
    monkeypatch.setattr(scheduler, "usable_cores", lambda: cores)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert scheduler.places(params.model_copy(update={"compute": compute})) == places


@pytest.mark.parametrize(("cpus", "places"), [([1], 2), ([2, 3], 5), ([64, 64], 16)])
def test_places_are_as_many_as_the_cluster_holds_tasks(repository, monkeypatch, cpus, places):
    nodes = [{"Resources": {"CPU": count, "memory": 2**40}} for count in cpus]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setattr(connection, "connect", lambda: None)
    monkeypatch.setattr(connection, "nodes", lambda: nodes)
    assert scheduler.places(load_params(repository / "params.yaml")) == places


@pytest.mark.parametrize(
    ("gigabytes", "held", "places"), [(0.5, 0.1, 1), (1.5, 0.1, 1), (2.5, 0.1, 2), (2.5, 1.2, 4), (9.0, 0.1, 4)]
)
def test_stages_start_while_there_is_memory_for_them_to_grow(monkeypatch, gigabytes, held, places):
    """Each has taken `held` GB of the memory so far, and takes up to one."""
    begun, ended, most = [], [], []

    class Process:
        memory, is_alive = held * 1e9, True

        def __init__(self, variables, is_piped):
            pass

        def run(self, arguments, show):
            begun.append(arguments[-1])
            while len(begun) < places and not ended:
                time.sleep(0.01)
            most.append(len(begun) - len(ended))
            ended.append(arguments[-1])
            return 0

        def finish(self):
            self.is_alive = False

    monkeypatch.setattr(dvc_process, "DvcProcess", Process)
    monkeypatch.setattr(scheduler, "MEMORY_EVERY", 0.01)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gigabytes * 1e9))
    names = "abcd"
    with dvc_process.DvcProcesses(len(names), {}) as processes:
        statuses = scheduler.Run(Plan({name: () for name in names}, ()), processes).run()
    assert statuses == dict.fromkeys(names, 0)
    assert max(most) == places
