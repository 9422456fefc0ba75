"""The pipeline's branches side by side, as `make repro` runs them: `python -m fitgap.branches`.

`dvc repro` runs one stage after the other, and a stage keeps all cores busy for a part of its time only: imports,
MLflow and small batches are one core's work. DVC's own way to more is several `dvc repro` at once, on stages that do
not need each other (its manual, `dvc repro`, "Parallel stage execution"). Each stage does what it does alone, to the
same bytes; a machine with one core runs one after the other.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from threading import Thread

from fitgap import stage, timings

FIRST = "prepare"  # all of them read what it leaves; what needs more than one of them comes last
# In an order in which they can run. The first is the longest, and keeps the terminal with its progress bars.
BRANCHES = (("backbone", "features", "asis", "probe", "head", "finetune"), ("scratch", "highrate"))


def main() -> None:
    """Run what has changed, two stages at a time where they do not need each other."""
    if (os.cpu_count() or 1) > 1:
        _end_if_failed(repro([FIRST]).wait())
        _end_if_failed(*_side_by_side())
    _end_if_failed(repro([]).wait())


def repro(arguments: Sequence[str], **options) -> subprocess.Popen:
    """Start `dvc repro`; it waits where another one has DVC's lock, where it would give up after 3 s (dvc#10465)."""
    return subprocess.Popen([sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments], **options)


def _side_by_side() -> list[int]:
    """Run all branches; give their exit statuses. One that fails leaves the others to end: their results stay."""
    environment = {**os.environ, timings.AT_ONCE: str(len(BRANCHES))}
    foremost, *others = (["--single-item", *branch] for branch in BRANCHES)  # what is above them is done
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    processes = [repro(foremost, env=environment), *(repro(other, env=environment, **piped) for other in others)]
    relays = [Thread(target=_relay, args=[process]) for process in processes[1:]]
    for relay in relays:
        relay.start()
    statuses = [process.wait() for process in processes]
    for relay in relays:
        relay.join()
    return statuses


def _relay(process: subprocess.Popen) -> None:
    """Show the lines of a process, whole ones: two progress bars would write over each other."""
    for line in process.stdout:
        print(line, end="", flush=True)


def _end_if_failed(*statuses: int) -> None:
    failed = [status for status in statuses if status]
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 128 - failed[0])  # a signal's number, as a shell gives it


if __name__ == "__main__":
    stage.run(main)
