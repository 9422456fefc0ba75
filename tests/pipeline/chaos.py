"""`make chaos`: kill the small pipeline at random moments, go on, and end where an undisturbed run ends.

    python tests/pipeline/chaos.py [--kills 30] [--seed N]

Compared are dvc.lock and everything in MLflow's store that is no id, clock time or place. What is killed is
`dvc repro`, or what `make repro` starts, two of it at once; with SIGKILL, SIGTERM and Ctrl-C (SIGINT), of the whole
process group.
"""

import argparse
import contextlib
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from conftest import Clone, cloned
from stores import contents, differences

REPOSITORY = Path(__file__).parent.parent.parent
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COMMANDS = (("dvc", "repro"), (sys.executable, "-m", "fitgap.programs.scheduler"))
KILLS_A_ROUND = 6
LONGEST = 40.0  # seconds until a kill; a stage of the small pipeline takes about ten, and more on a busy machine
FORGOTTEN = 60.0  # seconds at most until the system's first process has seen the end of those whose parent died


def main() -> int:
    """Run rounds until enough kills have hit; give the number of differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance, lines, hit, number = random.Random(options.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        calm = cloned(REPOSITORY, Path(folder) / "calm")
        calm.repro()
        while hit < options.kills:
            number += 1
            clone = cloned(REPOSITORY, Path(folder) / f"round-{number}")
            hit += disturbed(clone, chance, min(KILLS_A_ROUND, options.kills - hit))
            lines += compare(calm, clone, f"round {number}")
            shutil.rmtree(clone.path)
    print(f"{hit} kills in {number} rounds: {lines} differences")
    return lines


def disturbed(clone: Clone, chance: random.Random, kills: int) -> int:
    """Run the pipeline and kill it again and again; then let it end. Give the number of kills that hit."""
    hit = 0
    while hit < kills:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        process = subprocess.Popen(chance.choice(COMMANDS), cwd=clone.path, env=clone.environment, **options)
        time.sleep(chance.uniform(0, LONGEST))
        kind = chance.choice(SIGNALS)
        if process.poll() is not None:
            break  # it was through
        end_group(process, kind)
        process.communicate()
        hit += 1
        print(f"  {kind.name}", flush=True)
    clone.repro()
    return hit


def end_group(process: subprocess.Popen, kind: signal.Signals) -> None:
    """Send a signal to the whole process group, and SIGKILL if it has not ended after ten seconds.

    Wait until no zombie is left, because DVC treats the locks of a zombie process as held.
    """
    for each in (kind, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, each)
            process.wait(10)
    end = time.monotonic() + FORGOTTEN
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def locked(clone: Clone) -> dict:
    """Return the hashes of dvc.lock; their order is that in which stages have ended."""
    return yaml.safe_load((clone.path / "dvc.lock").read_text())


def compare(calm: Clone, clone: Clone, name: str) -> int:
    """Print the differences from the undisturbed run; return their number."""
    lines = differences(contents(calm.path / "mlflow.db"), contents(clone.path / "mlflow.db"))
    lines += ["dvc.lock differs"] if locked(calm) != locked(clone) else []
    print(f"{name}: {len(lines)} differences", *lines[:20], sep="\n  ", flush=True)
    return len(lines)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
