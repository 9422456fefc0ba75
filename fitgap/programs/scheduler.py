"""Run the pipeline with several stages in parallel, as `make repro` does: `python -m fitgap.programs.scheduler`.

`dvc repro` runs one stage at a time. A stage uses all cores for only part of its time: imports, MLflow and small
batches use a single core. DVC's documentation recommends several `dvc repro` processes for independent branches of the
pipeline (its manual, `dvc repro`, "Parallel stage execution"): DVC holds its lock while it reads and writes dvc.lock,
not while a stage's command runs. Each stage writes the same bytes as when it runs alone.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

import psutil

from fitgap import lifecycle
from fitgap.cluster import connection
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.pipeline import timings
from fitgap.pipeline.plan import Plan, read_plan
from fitgap.programs.bars import Bars
from fitgap.system.processor import usable_cores
from fitgap.system.progress import EVERY_VARIABLE

MOST_HERE, MOST_ON_CLUSTER = 8, 16  # stages at once
STAGE_MEMORY = 1_000_000_000  # bytes; a stage holds about 700 MB once TensorFlow is imported
PATIENCE, LONGEST = 1.0, 20.0  # seconds until a command is terminated after an interruption, and until DVC is killed
REPORT = Path("reports/report.md")
CACHED = "is cached - skipping run"
NOISE = (  # lines of DVC that begin so are not shown: a line of ours says the same, or they are hints
    *("Running stage '", "> ", "Stage '", "Updating lock file", "Generating lock file", "Data and pipelines are up"),
    *("To track the changes with git", "git add ", "To enable auto staging", "dvc config ", "Use `dvc push`"),
    "WARNING: 'models/",  # the folder of a variant without a model
)
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
    """Run the stages whose inputs have changed, independent stages in parallel; then let `dvc repro` check them all.

    The last lines are the report's answer and where the report is; if nothing has changed, one line.
    """
    from dvc.exceptions import DvcException  # its import takes a while

    signal.signal(signal.SIGTERM, _exit)
    at_once, plan = places(load_params()), None
    os.environ[timings.STAGES_AT_ONCE] = str(at_once)
    if sys.stdout.isatty():
        os.environ[EVERY_VARIABLE] = "1"  # for the bars
    with contextlib.suppress(DvcException):  # if DVC cannot read the pipeline, `dvc repro` below says why
        plan = read_plan()
        _end_if_failed(*Run(plan, at_once).run().values())
    _check_all()
    name = os.environ.get("DVC_EXP_NAME")
    where = f"The report: {f'experiments/{name}' if name else 'reports'}/report.html    The runs: make ui"
    if plan and not plan.needs:
        print(f"Nothing has changed: {len(plan.unchanged)} stages. {where}")
    elif REPORT.exists():
        print(*answer_in(REPORT.read_text(encoding="utf-8")), where, sep="\n")


def _check_all() -> None:
    with ended_at_exit():
        process = start_repro()
        for line in filter(is_news, process.stdout):
            show(line.rstrip())
        _end_if_failed(process.wait())


def answer_in(report: str) -> list[str]:
    """Return the sentences of a report.md's answer, without marks, under a heading."""
    return ["", "The answer", *(line.replace("**", "") for line in re.findall(r"^\d+\. .+", report, re.MULTILINE))]


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

    At least two with two cores or more, since no stage uses all cores all the time; but no more than fit into the
    memory that is free now. On a cluster the stages only wait; there are as many as the nodes can hold tasks.
    """
    if connection.is_wanted():
        connection.connect()
        tasks = connection.places(connection.share(params.compute.threads))
        return min(max(tasks, 2), MOST_ON_CLUSTER)
    cores, threads = usable_cores(), params.compute.threads
    most = min(cores, 2) if cores == 1 or threads == "all" else min(max(cores // threads, 2), MOST_HERE)
    return max(1, min(most, psutil.virtual_memory().available // STAGE_MEMORY))


class Stage(NamedTuple):
    """A running stage: its name, its `dvc repro`, and since when it runs."""

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
        self._running: dict[str, Stage] = {}
        self._ended: SimpleQueue[tuple[str, int]] = SimpleQueue()  # names and exit statuses
        self._cached: set[str] = set()
        self._statuses: dict[str, int] = {}
        self._begin, self._bars = time.monotonic(), Bars(len(self._order))

    def run(self) -> dict[str, int]:
        """Run all stages and return their exit statuses; stages that need a failed one are skipped."""
        if self._order:
            show(f"stages to run: {len(self._order)}, unchanged: {len(self._plan.unchanged)}")
        with self._bars, ended_at_exit():
            self._start_all()
            while self._running:
                self._end(*self._ended.get())
                self._start_all()
        self._show_failed()
        return self._statuses

    def _start_all(self) -> None:
        """Start stages while there is one that is ready, and a free place."""
        self._ready = sorted([*self._ready, *self._sorter.get_ready()], key=self._order.index)
        while self._ready and len(self._running) < self._at_once:
            name = self._ready.pop(0)
            process = start_repro("--single-item", name)  # what it needs has run already
            stage = self._running[name] = Stage(name, process, time.monotonic())
            self._bars.start(name)
            # A daemon is not waited for at the end: something that a stage has left behind may hold its pipe open.
            Thread(target=self._follow, args=[stage], daemon=True).start()

    def _follow(self, stage: Stage) -> None:
        """Show what a stage writes, until it ends."""
        try:
            for line in stage.process.stdout:
                self._tell(stage.name, line.strip().removeprefix(f"{stage.name}: "))
        finally:
            self._ended.put((stage.name, stage.process.wait()))

    def _tell(self, name: str, line: str) -> None:
        if CACHED in line:
            self._cached.add(name)
        if is_news(line) and not self._bars.update(name, line):
            show(f"{name}: {line}")

    def _end(self, name: str, status: int) -> None:
        stage = self._running.pop(name)
        self._statuses[name] = status
        self._bars.end(name)
        if status == 0:
            self._sorter.done(name)  # so that stages that need it become ready
        done, since = (spell(time.monotonic() - begin) for begin in (stage.begin, self._begin))
        event = "taken from DVC's cache" if name in self._cached else f"done in {done}"
        event = f"FAILED after {done}, exit status {status}" if status else event
        count, ended, running = len(self._order), len(self._statuses), len(self._running)
        waiting = count - ended - running
        show(f"[{ended}/{count}] {name}: {event}; {since} so far, {running} running, {waiting} waiting")

    def _show_failed(self) -> None:
        failed = [name for name, status in self._statuses.items() if status]
        if failed:
            skipped = [name for name in self._order if name not in self._statuses]
            show(f"failed: {', '.join(failed)}; skipped, because they need it: {', '.join(skipped) or 'none'}")


def start_repro(*arguments: str) -> subprocess.Popen:
    """Start `dvc repro ARGUMENTS`; its output goes to a pipe."""
    command, pipe = [sys.executable, "-c", DVC_REPRO, *arguments], subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace")


def is_news(line: str) -> bool:
    """Return whether a line is worth showing."""
    return bool(line.strip()) and not line.strip().startswith(NOISE)


@contextlib.contextmanager
def ended_at_exit() -> Iterator[None]:
    """Wait for each `dvc repro` when the block ends; after an interruption, terminate their stages first.

    DVC itself is killed only if that takes too long: killed while it writes, it would leave broken files. It considers
    a killed process's locks as held until the parent, which is this process, has reaped it. All children of this
    process are asked for: an interruption may come before the name of one is known.
    """
    try:
        yield
    finally:
        begin = time.monotonic()
        while running := psutil.Process().children():
            seconds = time.monotonic() - begin
            for process in running if seconds > PATIENCE else ():
                with contextlib.suppress(psutil.NoSuchProcess):
                    for command in process.children(recursive=True):
                        command.terminate()
                    if seconds > LONGEST:
                        process.kill()
            psutil.wait_procs(running, 0.02 if seconds < PATIENCE else 0.5)


def show(line: str) -> None:
    """Print a line; on a terminal, above the bars."""
    print(f"{line}\n", end="", flush=True)  # in one piece: several threads print


def spell(seconds: float) -> str:
    """Return a duration in words: seconds, from two minutes on minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    lifecycle.run(main)
