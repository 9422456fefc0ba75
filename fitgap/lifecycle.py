"""What every stage does the same: start, tell a mistake in one line, and stop with the right status."""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap.pipeline import inputs, timings
from fitgap.pipeline.record import Result
from fitgap.pipeline.timings import Clock
from fitgap.system.errors import UserError
from fitgap.system.files import fresh_folder
from fitgap.tracking import runs

if TYPE_CHECKING:
    import pandas as pd

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
        before = inputs.read_state(name)
        main(*sys.argv[1:])
        inputs.check_unchanged(name, before)
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


def finish(
    result: Result,
    clock: Clock,
    folder: Path | None = None,
    *,
    seed_seconds: Mapping[int, float] | None = None,
    rates: Mapping[str, float] | None = None,
    artifacts: Iterable[Path] = (),
    tables: Mapping[str, "pd.DataFrame"] | None = None,
    is_tracked: bool = True,
) -> str | None:
    """Write a stage's result, keep its wall times, and write its MLflow run.

    Parameters
    ----------
    folder : of the result, in results/; replaced as a whole
    seed_seconds : seed -> seconds that its training took
    rates : speeds such as images_per_second
    artifacts : small files for the run
    tables : name, ending in .json -> what MLflow shows as a table
    is_tracked : False where the tracking store is known to be away

    Returns
    -------
    Id of the run; None without one. Where the tracking store failed, one line on standard error says so.
    """
    if folder is not None:
        with fresh_folder(folder) as made:
            result.write(made)
    timings.save(result, clock.spent, seed_seconds, **(rates or {}))
    return runs.log_result(result, artifacts, tables or {}) if is_tracked else None
