"""What every stage does the same: start, tell a mistake in one line, and stop with the right status."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from fitgap import inputs, timings
from fitgap.errors import UserError
from fitgap.folders import fresh
from fitgap.results import Result
from fitgap.timings import Clock
from fitgap.tracking import runs

LITTLE = 1_000_000  # bytes; a disk with less is full
HINTS = {
    errno.ENOSPC: "the disk is full: make room and run it again",
    errno.EFBIG: "a file would grow larger than it may (ulimit -f): raise that limit",
    errno.EDQUOT: "your share of the disk is used up: make room and run it again",
    errno.EROFS: "this folder cannot be written: run it on a copy of the repository that can",
    errno.EACCES: "not permitted: give yourself the right to read and write here",
    errno.EPERM: "not permitted: give yourself the right to read and write here",
    errno.ENOENT: "not found: `dvc repro` runs the stages that leave it first",
}


def run(main: Callable[..., None]) -> None:
    """Run a stage's `main` with the command line's arguments, and end the process.

    A mistake the user can mend is one line on standard error and exit status 1, without a traceback; so are a
    full disk, a folder that cannot be written, too little memory, and inputs that changed meanwhile.
    """
    name = "@".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    try:
        before = inputs.state(name)
        main(*sys.argv[1:])
        inputs.check(name, before)
    except UserError as error:
        sys.exit(f"fitgap: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        told = exhausted(error)
        if told is None:
            raise
        sys.exit(f"fitgap: {name}: {told}")
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Taking TensorFlow apart object by object would need two seconds more per stage.
    os._exit(0)


def exhausted(error: Exception) -> str | None:
    """Tell in one line what the machine lacks, or None where an error has another reason."""
    reason = " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
        return f"not enough memory ({reason or 'no more is known'}); lower a batch_size or data.image_size"
    code = error.errno if isinstance(error, OSError) else None
    hint = HINTS.get(code)
    if hint is None and isinstance(error, OSError) and shutil.disk_usage(".").free < LITTLE:
        hint = HINTS[errno.ENOSPC]  # NumPy and HDF5 say that less was written than asked, and no more
    return hint and f"{reason}; {hint}"


def leave(result: Result, folder: Path, clock: Clock, **rates: float) -> None:
    """Write a result, keep its wall time and rates (such as images_per_second), and give it its run in MLflow."""
    with fresh(folder) as made:
        result.write(made)
    timings.keep(result, clock.spent, **rates)
    runs.log(result)
