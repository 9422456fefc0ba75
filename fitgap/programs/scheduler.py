"""Run the pipeline with several stages in parallel, as `make repro` does: `python -m fitgap.programs.scheduler`.

`dvc repro` runs one stage at a time. A stage uses all cores for only part of its time: imports, MLflow and small
batches use a single core. DVC's documentation recommends several `dvc repro` processes for independent branches of the
pipeline (its manual, `dvc repro`, "Parallel stage execution"). Each stage writes the same bytes as when it runs alone.
"""

import contextlib
import signal
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import NamedTuple

import psutil

from fitgap import lifecycle
from fitgap.cluster import connection
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.pipeline import timings
from fitgap.pipeline.plan import Plan, read_plan
from fitgap.programs.dvc_process import DvcProcesses
from fitgap.system.cores import usable_cores

MOST_HERE, MOST_ON_CLUSTER = 8, 16  # stages at once
STAGE_MEMORY = 1_000_000_000  # bytes; a stage holds about 700 MB once TensorFlow is imported
MEMORY_EVERY = 1.0  # seconds between two looks at the memory while a stage waits for it
HINTS = ("To track the changes with git", "git add ", "To enable auto staging", "dvc config ", "Use `dvc push`")
REPRO = ("--wait-for-lock", "repro")  # without the option DVC gives up after 3 s without its lock (dvc#10465)


def main(*, at_once: int | None = None) -> None:
    """Run the stages whose inputs have changed, independent stages in parallel; then let `dvc repro` check them all.

    Parameters
    ----------
    at_once : the most stages at once; None for as many as the machine can hold
    """
    signal.signal(signal.SIGTERM, _exit)
    at_once = at_once or places(load_params())
    with DvcProcesses(at_once, {timings.STAGES_AT_ONCE: str(at_once)}) as processes:
        if plan := _plan():
            _end_if_failed(*Run(plan, processes).run().values())
        _end_if_failed(processes.submit(0, REPRO, show).result())


def _plan() -> Plan | None:
    """Return the plan; None if DVC cannot read the pipeline, since `dvc repro` then says why."""
    from dvc.exceptions import DvcException

    with contextlib.suppress(DvcException):
        return read_plan()
    return None


def places(params: Params) -> int:
    """Return how many stages may run at once.

    At least two with two cores or more, since no stage uses all cores all the time. On a cluster the stages only wait;
    there are as many as the nodes can hold tasks.
    """
    if connection.is_wanted():
        connection.connect()
        tasks = connection.places(connection.share(params.compute.threads), connection.nodes())
        return min(max(tasks, 2), MOST_ON_CLUSTER)
    cores, threads = usable_cores(), params.compute.threads
    if cores == 1 or threads == "all":
        return min(cores, 2)
    return min(max(cores // threads, 2), MOST_HERE)


def _exit(number: int, _frame: object) -> None:
    """Exit as in a shell; `DvcProcesses` ends all that has begun, which a second signal must not interrupt."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


class Started(NamedTuple):
    """A running stage: its number in the order of starts, where it runs, and since when."""

    number: int
    name: str
    place: int
    begin: float


class Run:
    """Runs the stages of a plan, each in the first free place, and says how far it is."""

    def __init__(self, plan: Plan, processes: DvcProcesses):
        self._plan, self._processes = plan, processes
        self._running: dict[Future, Started] = {}
        self._statuses: dict[str, int] = {}
        self._begin = time.monotonic()

    def run(self) -> dict[str, int]:
        """Run all stages and return their exit statuses; stages that need a failed one are skipped."""
        show(f"stages to run: {len(self._plan.needs)}, unchanged: {len(self._plan.unchanged)}")
        self._start_all()
        while self._running:
            patience = MEMORY_EVERY if len(self._running) < self._processes.count else None
            for ended in wait(self._running, patience, FIRST_COMPLETED).done:
                self._end(ended)
            self._start_all()
        self._show_end()
        return self._statuses

    def _start_all(self) -> None:
        """Start stages while there is one that is ready, a free place and memory."""
        while (free := self._free()) and (name := self._next()) and self._has_memory():
            started = Started(len(self._statuses) + len(self._running) + 1, name, free[0], time.monotonic())
            arguments = [*REPRO, "--single-item", name]  # what it needs has run already
            self._running[self._processes.submit(free[0], arguments, partial(_show_of, name))] = started
            self._show(started, "started")

    def _free(self) -> list[int]:
        taken = {started.place for started in self._running.values()}
        return [place for place in range(self._processes.count) if place not in taken]

    def _next(self) -> str | None:
        """Return the first stage that has not started and whose needs have all succeeded, or None."""
        begun = {*self._statuses, *(started.name for started in self._running.values())}
        needs = self._plan.needs
        waiting = (name for name in needs if name not in begun)
        return next((name for name in waiting if all(self._statuses.get(other) == 0 for other in needs[name])), None)

    def _has_memory(self) -> bool:
        """Whether one more stage fits into memory once those that run have grown; the first always does."""
        grown = (self._processes.memory(started.place) for started in self._running.values())
        to_come = STAGE_MEMORY + sum(max(0, STAGE_MEMORY - held) for held in grown)
        return not self._running or psutil.virtual_memory().available > to_come

    def _end(self, ended: Future) -> None:
        started = self._running.pop(ended)
        status = self._statuses[started.name] = ended.result()
        taken = spell(time.monotonic() - started.begin)
        self._show(started, f"FAILED after {taken}, exit status {status}" if status else f"done in {taken}")

    def _show(self, started: Started, event: str) -> None:
        count, running = len(self._plan.needs), len(self._running)
        waiting, since = count - len(self._statuses) - running, spell(time.monotonic() - self._begin)
        show(
            f"[{started.number}/{count}] {started.name}: {event}; {since} so far, {running} running, {waiting} waiting"
        )

    def _show_end(self) -> None:
        failed = [name for name, status in self._statuses.items() if status]
        if failed:
            skipped = [name for name in self._plan.needs if name not in self._statuses]
            show(f"failed: {', '.join(failed)}; skipped, because they need it: {', '.join(skipped) or 'none'}")
        else:
            show("what remains: `dvc repro` checks all stages")


def show(line: str) -> None:
    """Print a line; on a terminal, in place of the progress bar that may stand there."""
    erase = "\r\x1b[K" if sys.stdout.isatty() else ""
    print(f"{erase}{line}\n", end="", flush=True)  # in one piece: several threads print


def _show_of(name: str, line: str) -> None:
    """Print a line of a stage's output with the stage's name; DVC's hints, the same after every stage, are left out."""
    if line and not line.strip().startswith(HINTS):
        show(f"{name}: {line}")


def spell(seconds: float) -> str:
    """Return a duration in words: seconds, from two minutes on minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _end_if_failed(*statuses: int) -> None:
    failed = [status for status in statuses if status]
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 128 - failed[0])  # 128 + signal number, as in a shell


if __name__ == "__main__":
    lifecycle.run(main)
