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
from fitgap.programs import scheduler

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


def dependents(name: str) -> set[str]:
    """Return a stage and all stages that depend on it, directly or through others."""
    return {name}.union(*(dependents(other) for other, needed in NEEDS.items() if name in needed))


def write_command(name: str) -> str:
    return "".join(f"test -f {other}.txt && " for other in NEEDS[name]) + f"echo {name} > {name}.txt"


def written(folder) -> set[str]:
    return {path.stem for path in folder.glob("*.txt")}


@pytest.fixture
def run_commands(tmp_path, monkeypatch):
    """Run the stages' shell commands without DVC; return their exit statuses."""
    monkeypatch.chdir(tmp_path)

    def run(at_once: int = 2, **other_commands: str) -> dict[str, int]:
        def start(_option, name):
            command = other_commands.get(name, write_command(name))
            return subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True)

        monkeypatch.setattr(scheduler, "start_repro", start)
        return scheduler.Run(Plan(NEEDS, ()), at_once).run()

    return run


@pytest.mark.parametrize("at_once", [1, 8])
def test_stages_start_after_what_they_need(run_commands, tmp_path, capfd, at_once):
    assert run_commands(at_once) == dict.fromkeys(NEEDS, 0)
    assert written(tmp_path) == ALL
    lines = capfd.readouterr().out
    assert f"[1/{len(ALL)}] {FIRST}: done in 0 s; 0 s so far, 0 running, {len(ALL) - 1} waiting" in lines
    assert f"[{len(ALL)}/{len(ALL)}] {LAST}: done in " in lines


def test_free_place_goes_to_a_ready_stage(run_commands, tmp_path):
    wait = f"while [ ! -f highrate.txt ]; do sleep 0.05; done; {write_command('backbone')}"
    assert run_commands(backbone=wait) == dict.fromkeys(NEEDS, 0)  # highrate starts when scratch has ended


@pytest.mark.parametrize("failing", [{FIRST}, {"backbone"}, {"head-a", "scratch"}])
@pytest.mark.parametrize("failure", ["exit 7", "kill -KILL $$"])
def test_failure_skips_only_dependent_stages(run_commands, tmp_path, capfd, failing, failure):
    statuses = run_commands(**dict.fromkeys(failing, failure))
    skipped = set().union(*map(dependents, failing)) - failing
    assert {name for name, status in statuses.items() if status} == failing
    assert written(tmp_path) == ALL - failing - skipped == {name for name in statuses if name not in failing}
    last = capfd.readouterr().out.splitlines()[-1]
    assert {*last.partition("skipped, because they need it: ")[2].split(", ")} == skipped


def test_interruption_ends_what_runs(run_commands, tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "PATIENCE", 0)
    interrupt = f"sleep 0.5; kill -INT {os.getpid()}; sh -c 'sleep 600'; exit 3"
    with pytest.raises(KeyboardInterrupt):
        run_commands(backbone=interrupt, scratch="sh -c 'sleep 600'; exit 3")
    assert psutil.Process().children(recursive=True) == []
    assert written(tmp_path) == {FIRST}


def test_what_a_stage_leaves_behind_is_not_waited_for(run_commands, tmp_path):
    """It holds the pipe open, and no interruption reaches it: it is nobody's child."""
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_commands(backbone=f"setsid -f sleep 60; sleep 0.5; kill -INT {os.getpid()}; exit 3")
    assert time.monotonic() - begin < 30
    assert written(tmp_path) >= {FIRST}


def test_what_a_stage_writes_begins_with_its_name_and_noise_of_dvc_is_left_out(run_commands, capfd):
    noise = "echo \\> python -m x; echo; echo 'git add dvc.lock'; echo Running stage \\'scratch\\':"
    run_commands(backbone="echo of backbone", scratch=f"echo of scratch; echo scratch: 1 of 2 epochs; {noise}")
    lines = [line for line in capfd.readouterr().out.splitlines() if not line.startswith(("[", "stages", "failed"))]
    assert sorted(lines) == ["backbone: of backbone", "scratch: 1 of 2 epochs", "scratch: of scratch"]


def test_stages_from_the_cache_say_so(run_commands, capfd):
    run_commands(scratch="echo Stage \\'scratch\\' is cached - skipping run, checking out outputs")
    assert "scratch: taken from DVC's cache; " in capfd.readouterr().out
    run_commands(scratch="echo Stage \\'scratch\\' is cached - skipping run, checking out outputs; exit 1")
    assert "scratch: FAILED after " in capfd.readouterr().out  # the disk may be full


@pytest.mark.parametrize(
    ("cores", "threads", "gigabytes", "places"),
    [
        *[(1, 1, 99, 1), (1, "all", 99, 1), (2, 1, 99, 2), (2, 2, 99, 2), (16, "all", 99, 2), (6, 1, 99, 6)],
        *[(8, 2, 99, 4), (64, 1, 99, 8), (64, 1, 5.9, 5), (2, 1, 1.9, 1), (2, 1, 0.5, 1)],
    ],
)
def test_places_are_as_many_as_the_machine_holds(repository, monkeypatch, cores, threads, gigabytes, places):
    params = load_params(repository / "params.yaml")
    compute = params.compute.model_copy(update={"threads": threads})
    monkeypatch.setattr(scheduler, "usable_cores", lambda: cores)
    memory = SimpleNamespace(available=int(gigabytes * 1e9))
    monkeypatch.setattr(scheduler.psutil, "virtual_memory", lambda: memory)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert scheduler.places(params.model_copy(update={"compute": compute})) == places


def test_places_are_as_many_as_the_cluster_holds_tasks(repository, monkeypatch):
    params = load_params(repository / "params.yaml")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setattr(connection, "connect", lambda: None)
    for cpus, places in (([1], 2), ([2, 3], 5), ([64, 64], 16)):
        nodes = [{"CPU": count, "memory": 2**40} for count in cpus]
        monkeypatch.setattr(connection, "nodes", lambda nodes=nodes: nodes)
        assert scheduler.places(params) == places


@pytest.fixture
def start(tmp_path, repository):
    """Start the trivial pipeline under DVC; some stages can have another command."""
    there = {**os.environ, "PYTHONPATH": str(repository), "DVC_NO_ANALYTICS": "1"}
    shutil.copy(repository / "params.yaml", tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, env=there, check=True)

    def start(names=ALL, **other_commands: str) -> subprocess.Popen:
        stages = {}
        for name in (name for name in NEEDS if name in names):
            files = [f"{other}.txt" for other in NEEDS[name] if other in names]
            command = other_commands.get(name, write_command(name))
            stages[name] = {"cmd": command, "outs": [f"{name}.txt"], "deps": files}
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
        command = [sys.executable, "-m", "fitgap.programs.scheduler"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=there, start_new_session=True, **pipes)

    return start


def test_dvc_runs_what_has_changed_and_checks_all(start, tmp_path):
    few, last = {FIRST, "scratch", LAST}, {LAST: f"echo > {LAST}.txt"}
    output = start(few, **last).communicate()[0]
    assert all(output.count(f"] {stage}: done in") == 1 for stage in few)
    (tmp_path / "scratch.txt").unlink()
    output = start(few, **last).communicate()[0]
    assert written(tmp_path) == few
    assert "stages to run: 2, unchanged: 1" in output
    assert f"] {FIRST}: " not in output
    assert start(few, **last).communicate()[0].count("\n") == 1


@pytest.mark.slow
def test_failures_give_the_exit_status_and_the_message_of_dvc(start, tmp_path):
    process = start(backbone="exit 7")
    assert "failed to run: exit 7, exited with 7" in process.communicate()[0]
    assert process.returncode == 255
    killed = start(backbone="kill -KILL $PPID")  # DVC's own process
    killed.communicate()
    assert killed.returncode == 128 + signal.SIGKILL
    start().communicate()
    assert written(tmp_path) == ALL
    (tmp_path / "dvc.lock").write_text("schema: [")
    unreadable = start()
    assert "'dvc.lock' is invalid" in unreadable.communicate()[0].replace("./", "")
    assert unreadable.returncode == 255


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interruption_releases_the_locks_of_dvc(start, tmp_path, number):
    process = start(backbone="sleep 600")
    while written(tmp_path) != ALL - dependents("backbone"):
        assert process.poll() is None
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGTERM:
        process.terminate()
    else:
        os.killpg(process.pid, number)  # as Ctrl-C does
    assert "Traceback" not in process.communicate()[0]
    assert process.returncode == 128 + number
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert not any(json.loads((tmp_path / ".dvc/tmp/rwlock").read_text()).values())
    start().communicate()
    assert written(tmp_path) == ALL
