"""Run the pipeline with several stages in parallel, as `make repro` does: `python -m fitgap.programs.scheduler`.

`dvc repro` runs one stage at a time. A stage uses all cores for only part of its time: imports, MLflow and small
batches use a single core. DVC's documentation recommends several `dvc repro` processes for independent branches of the
pipeline (its manual, `dvc repro`, "Parallel stage execution"): DVC holds its lock while it reads and writes dvc.lock,
not while a stage's command runs. Each stage writes the same bytes as when it runs alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import NamedTuple

import psutil

from fitgap import lifecycle
from fitgap.cluster import connection
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.pipeline import timings
from fitgap.pipeline.plan import Plan, read_plan
from fitgap.system.processor import usable_cores

MOST_HERE, MOST_ON_CLUSTER = 8, 16  # stages at once
STAGE_MEMORY = 1_000_000_000  # bytes; a stage holds about 700 MB once TensorFlow is imported
MEMORY_EVERY = 1.0  # seconds between two looks at the memory while a stage waits for it
PATIENCE, LONGEST = 1.0, 20.0  # seconds until a command is terminated after an interruption, and until DVC is killed
HINTS = ("To track the changes with git", "git add ", "To enable auto staging", "dvc config ", "Use `dvc push`")
EMPTY = "WARNING: 'models/"  # the folder of a variant without a model
# Both signals are for the stage's command: DVC must not stop while it writes dvc.lock. The command does not inherit a
# handler, unlike SIG_IGN. Without --wait-for-lock, DVC gives up after 3 s without its lock (dvc#10465).
DVC_REPRO = """
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
from dvc.cli import main
sys.argv[:1] = ["dvc", "--wait-for-lock", "repro"]
sys.exit(main(sys.argv[1:]))
"""


def main() -> None:
    """Run the stages whose inputs have changed, independent stages in parallel; then let `dvc repro` check them all."""
    from dvc.exceptions import DvcException  # its import takes a while

    signal.signal(signal.SIGTERM, _exit)
    at_once = places(load_params())
    os.environ[timings.STAGES_AT_ONCE] = str(at_once)
    with contextlib.suppress(DvcException):  # if DVC cannot read the pipeline, `dvc repro` below says why
        _end_if_failed(*Run(read_plan(), at_once).run().values())
    with ended_at_exit([]) as processes:
        processes.append(start_repro())
        _end_if_failed(processes[0].wait())


def _exit(number: int, _frame: object) -> None:
    """Exit as in a shell; what runs is ended first, which a second signal must not interrupt."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _end_if_failed(*statuses: int) -> None:
    failed = [status for status in statuses if status]
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 128 - failed[0])  # 128 + signal number, as in a shell


def places(params: Params) -> int:
    """Return how many stages may run at once.

    At least two with two cores or more, since no stage uses all cores all the time. On a cluster the stages only wait;
    there are as many as the nodes can hold tasks.
    """
    if connection.is_wanted():
        connection.connect()
        tasks = connection.places(connection.share(params.compute.threads))
        return min(max(tasks, 2), MOST_ON_CLUSTER)
    cores, threads = usable_cores(), params.compute.threads
    if cores == 1 or threads == "all":
        return min(cores, 2)
    return min(max(cores // threads, 2), MOST_HERE)


class Stage(NamedTuple):
    """A running stage: its number in the order of starts, its name, its `dvc repro`, and since when it runs."""

    number: int
    name: str
    process: subprocess.Popen
    begin: float


class Run:
    """Runs the stages of a plan, at most `at_once` at a time, and says how far it is."""

    def __init__(self, plan: Plan, at_once: int):
        self._plan, self._at_once = plan, at_once
        self._order = list(plan.needs)
        self._sorter, self._ready = TopologicalSorter(plan.needs), []
        self._sorter.prepare()
        self._running: dict[Future[int], Stage] = {}
        self._statuses: dict[str, int] = {}
        self._begin = time.monotonic()

    def run(self) -> dict[str, int]:
        """Run all stages and return their exit statuses; stages that need a failed one are skipped."""
        show(f"stages to run: {len(self._order)}, unchanged: {len(self._plan.unchanged)}")
        with ThreadPoolExecutor(self._at_once) as pool, ended_at_exit([]) as processes:
            self._start_all(pool, processes)
            while self._running:
                patience = MEMORY_EVERY if self._ready and len(self._running) < self._at_once else None
                for ended in wait(self._running, patience, FIRST_COMPLETED).done:
                    self._end(ended)
                self._start_all(pool, processes)
        self._show_end()
        return self._statuses

    def _start_all(self, pool: ThreadPoolExecutor, processes: list[subprocess.Popen]) -> None:
        """Start stages while there is one that is ready, a free place and memory."""
        self._ready = sorted([*self._ready, *self._sorter.get_ready()], key=self._order.index)
        while self._ready and len(self._running) < self._at_once and self._has_memory():
            name = self._ready.pop(0)
            # One stage writes to the terminal itself: two progress bars would overwrite each other.
            is_piped = any(stage.process.stdout is None for stage in self._running.values())
            processes.append(start_repro("--single-item", name, is_piped=is_piped))  # what it needs has run already
            number = len(self._statuses) + len(self._running) + 1
            stage = Stage(number, name, processes[-1], time.monotonic())
            self._running[pool.submit(follow, stage)] = stage
            self._show(stage, "started")

    def _has_memory(self) -> bool:
        taken = [memory_of(stage.process) for stage in self._running.values()]
        return fits_into(psutil.virtual_memory().available, taken)

    def _end(self, ended: Future) -> None:
        stage = self._running.pop(ended)
        status = self._statuses[stage.name] = ended.result()
        if status == 0:
            self._sorter.done(stage.name)  # so that stages that need it become ready
        seconds = spell(time.monotonic() - stage.begin)
        self._show(stage, f"FAILED after {seconds}, exit status {status}" if status else f"done in {seconds}")

    def _show(self, stage: Stage, event: str) -> None:
        count, running = len(self._order), len(self._running)
        waiting, since = count - len(self._statuses) - running, spell(time.monotonic() - self._begin)
        show(f"[{stage.number}/{count}] {stage.name}: {event}; {since} so far, {running} running, {waiting} waiting")

    def _show_end(self) -> None:
        failed = [name for name, status in self._statuses.items() if status]
        if failed:
            skipped = [name for name in self._order if name not in self._statuses]
            show(f"failed: {', '.join(failed)}; skipped, because they need it: {', '.join(skipped) or 'none'}")
        else:
            show("what remains: `dvc repro` checks all stages")


def start_repro(*arguments: str, is_piped: bool = False) -> subprocess.Popen:
    """Start `dvc repro ARGUMENTS`; its output goes to this process's standard output, or to a pipe."""
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    return subprocess.Popen([sys.executable, "-c", DVC_REPRO, *arguments], **(pipe if is_piped else {}))


def follow(stage: Stage) -> int:
    """Show the lines that a stage writes to its pipe, without DVC's hints; return the exit status of its process."""
    for line in stage.process.stdout or ():
        if line.strip() and not line.strip().startswith((*HINTS, EMPTY)):
            show(f"{stage.name}: {line.rstrip()}")
    return stage.process.wait()


@contextlib.contextmanager
def ended_at_exit(processes: list[subprocess.Popen]) -> Iterator[list[subprocess.Popen]]:
    """Wait for these `dvc repro` when the block ends; after an interruption, terminate their stages first.

    DVC itself is killed only if that takes too long: killed while it writes, it would leave broken files. It considers
    a killed process's locks as held until the parent, which is this process, has reaped it.
    """
    try:
        yield processes
    finally:
        begin = time.monotonic()
        while running := [process for process in processes if process.poll() is None]:
            seconds = time.monotonic() - begin
            for process in running if seconds > PATIENCE else ():
                for command in family(process)[1:]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        command.terminate()
                if seconds > LONGEST:
                    process.kill()
            time.sleep(0.02 if seconds < PATIENCE else 0.5)


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """Return a process and its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def memory_of(process: subprocess.Popen) -> int:
    """Return the bytes of memory that a process and its descendants hold."""
    memory = 0
    for member in family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            memory += member.memory_info().rss
    return memory


def fits_into(available: float, taken: list[int]) -> bool:
    """Return whether one more stage fits into the bytes available once those that run, which hold `taken`, have grown.

    The first one always does.
    """
    return not taken or available > STAGE_MEMORY + sum(max(0, STAGE_MEMORY - held) for held in taken)


def show(line: str) -> None:
    """Print a line; on a terminal, in place of the progress bar that may stand there."""
    erase = "\r\x1b[K" if sys.stdout.isatty() else ""
    print(f"{erase}{line}\n", end="", flush=True)  # in one piece: several threads print


def spell(seconds: float) -> str:
    """Return a duration in words: seconds, from two minutes on minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    lifecycle.run(main)
