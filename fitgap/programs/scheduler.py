"""Run the pipeline with two stages in parallel, as `make repro` does: `python -m fitgap.programs.scheduler`.

`dvc repro` runs one stage at a time. A stage uses all cores for only part of its time: imports, MLflow and small
batches use a single core. DVC's documentation recommends several `dvc repro` processes for independent branches of the
pipeline (its manual, `dvc repro`, "Parallel stage execution"). Each stage writes the same bytes as when it runs alone.
On a machine with one core the stages run sequentially.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import psutil
from dvc.repo import Repo

from fitgap import lifecycle
from fitgap.pipeline import timings

FIRST = "prepare"  # runs before all others, which read its outputs; stages not listed below run last
# Each stage (with all its variants) and the stages that it requires. Whenever a slot is free, the first stage that is
# ready starts. The longest chain is listed first; stages that no other requires are listed last, to fill the gaps.
REQUIRES: dict[str, tuple[str, ...]] = {
    "backbone": (),
    "features": ("backbone",),
    "head": ("backbone", "features"),
    "finetune": ("backbone", "features", "head"),
    "learning_curve": ("backbone", "features", "finetune"),
    "scratch": (),
    "highrate": (),
    "probe": ("backbone",),
    "asis": ("backbone",),
}
ONE_BY_ONE = "learning_curve"  # its variants are scheduled separately: they end the longest chain, and take the longest
MAX_PARALLEL = 2


def main() -> None:
    """Run the stages whose inputs have changed, independent stages in parallel."""
    signal.signal(signal.SIGTERM, _end_all)
    if (os.cpu_count() or 1) > 1:
        _end_if_failed(start_repro([FIRST]).wait())
        _end_if_failed(*_run_side_by_side(read_plan()).values())
    _end_if_failed(start_repro([]).wait())


def _end_all(number: int, _frame: object) -> None:
    """Forward a signal to all descendant processes, wait for each `dvc repro` to end, then exit.

    DVC considers a killed process's locks as held until its parent has reaped it. If this parent dies first, PID 1
    must reap it. That takes two seconds on some machines, and never happens in a container without an init process.
    """
    begun = psutil.Process().children()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    psutil.wait_procs(begun)
    sys.exit(128 + number)


def start_repro(arguments: Sequence[str], **options) -> subprocess.Popen:
    """Start `dvc repro`. It waits for DVC's lock; without the option it would give up after 3 s (dvc#10465)."""
    return subprocess.Popen([sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments], **options)


def read_plan() -> dict[str, tuple[str, ...]]:
    """Return the targets of `dvc repro` and the targets that each requires, in the order of REQUIRES.

    A target is a stage with all its variants, or one variant of ONE_BY_ONE, the last in dvc.yaml first.
    """
    with Repo() as repo:
        names = [stage.name for stage in repo.index.stages]
    variants = [name for name in reversed(names) if name.partition("@")[0] == ONE_BY_ONE]
    return {
        target: required
        for name, required in REQUIRES.items()
        for target in (variants if name == ONE_BY_ONE else [name])
    }


def _run_side_by_side(plan: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Run the targets in parallel and return their exit statuses. Targets that require a failed one are skipped."""
    statuses: dict[str, int] = {}
    running: dict[Future, str] = {}
    on_terminal: Future | None = None
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        while True:
            while len(running) < MAX_PARALLEL and (name := _next(plan, statuses, running.values())):
                alone = on_terminal not in running
                begun = pool.submit(_run, name, alone)
                running[begun] = name
                on_terminal = begun if alone else on_terminal
            if not running:
                return statuses
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                statuses[running.pop(ended)] = ended.result()


def _next(plan: Mapping[str, Collection[str]], statuses: Mapping[str, int], running: Collection[str]) -> str | None:
    """Return the first target that has not started and whose requirements have all succeeded, or None."""
    waiting = (name for name in plan if name not in statuses and name not in running)
    return next((name for name in waiting if all(statuses.get(other) == 0 for other in plan[name])), None)


def _run(name: str, on_terminal: bool) -> int:
    """Run a stage and return its exit status.

    Only one stage writes directly to the terminal. The other is printed line by line, since two progress bars would
    overwrite each other.
    """
    environment = {**os.environ, timings.STAGES_AT_ONCE: str(MAX_PARALLEL)}
    arguments = ["--single-item", name]  # its requirements have run already
    if on_terminal:
        return start_repro(arguments, env=environment).wait()
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = start_repro(arguments, env=environment, **piped)
    for line in process.stdout:
        print(line, end="", flush=True)
    return process.wait()


def _end_if_failed(*statuses: int) -> None:
    failed = [status for status in statuses if status]
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 128 - failed[0])  # 128 + signal number, as in a shell


if __name__ == "__main__":
    lifecycle.run(main)
