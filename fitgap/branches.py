"""The pipeline two stages at a time, as `make repro` runs it: `python -m fitgap.branches`.

`dvc repro` runs one stage after the other, and a stage keeps all cores busy for a part of its time only: imports,
MLflow and small batches are one core's work. DVC's own way to more is several `dvc repro` at once, on branches that do
not need each other (its manual, `dvc repro`, "Parallel stage execution"). Each stage does what it does alone, to the
same bytes; a machine with one core runs one after the other.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import psutil

from fitgap import stage, timings

FIRST = "prepare"  # all of them read what it leaves; what needs more than one of them comes last
# Each stage (or all of its variants) with those that it needs. Whenever a place is free the first begins that can: the
# longest chain stands on top, and what nothing waits for at the end, to fill in where the others leave a gap.
NEEDED: dict[str, tuple[str, ...]] = {
    "backbone": (),
    "features": ("backbone",),
    "head": ("backbone", "features"),
    "finetune": ("backbone", "features", "head"),
    "scratch": (),
    "highrate": (),
    "probe": ("backbone",),
    "asis": ("backbone",),
}
PLACES = 2


def main() -> None:
    """Run what has changed, two stages at a time where they do not need each other."""
    signal.signal(signal.SIGTERM, _end_all)
    if (os.cpu_count() or 1) > 1:
        _end_if_failed(repro([FIRST]).wait())
        _end_if_failed(*_side_by_side().values())
    _end_if_failed(repro([]).wait())


def _end_all(number: int, _frame: object) -> None:
    """Pass a signal on to all that was started, and see each `dvc repro` gone.

    DVC takes what a killed one held for busy until its parent has seen it end; where the parent is dead, that is the
    system's first process, which takes two seconds on some machines, and for ever in a container without an init.
    """
    begun = psutil.Process().children()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    psutil.wait_procs(begun)
    sys.exit(128 + number)


def repro(arguments: Sequence[str], **options) -> subprocess.Popen:
    """Start `dvc repro`; it waits where another one has DVC's lock, where it would give up after 3 s (dvc#10465)."""
    return subprocess.Popen([sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments], **options)


def _side_by_side() -> dict[str, int]:
    """Give the exit statuses of all that could run. What needs one that fails does not; the others' results stay."""
    statuses: dict[str, int] = {}
    running: dict[Future, str] = {}
    on_terminal: Future | None = None
    with ThreadPoolExecutor(PLACES) as pool:
        while True:
            while len(running) < PLACES and (name := _next(statuses, running.values())):
                alone = on_terminal not in running
                begun = pool.submit(_run, name, alone)
                running[begun] = name
                on_terminal = begun if alone else on_terminal
            if not running:
                return statuses
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                statuses[running.pop(ended)] = ended.result()


def _next(statuses: Mapping[str, int], running: Collection[str]) -> str | None:
    """Give the first that has not begun and whose needs are all met."""
    waiting = (name for name in NEEDED if name not in statuses and name not in running)
    return next((name for name in waiting if all(statuses.get(other) == 0 for other in NEEDED[name])), None)


def _run(name: str, on_terminal: bool) -> int:
    """Run one and wait for it. Off the terminal it shows whole lines: two progress bars would write over each other."""
    environment = {**os.environ, timings.AT_ONCE: str(PLACES)}
    arguments = ["--single-item", name]  # what it needs is done
    if on_terminal:
        return repro(arguments, env=environment).wait()
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = repro(arguments, env=environment, **piped)
    for line in process.stdout:
        print(line, end="", flush=True)
    return process.wait()


def _end_if_failed(*statuses: int) -> None:
    failed = [status for status in statuses if status]
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 128 - failed[0])  # a signal's number, as a shell gives it


if __name__ == "__main__":
    stage.run(main)
