"""The steps common to all stages: start, report user errors in one line, write the result, set the exit status."""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap.data.record import Record, Result, not_applicable
from fitgap.pipeline import inputs, timings
from fitgap.pipeline.timings import Clock
from fitgap.system.errors import UserError
from fitgap.system.files import fresh_folder
from fitgap.tracking import runs

if TYPE_CHECKING:
    import pandas as pd

LITTLE = 1_000_000  # free bytes below which a disk counts as full
HINTS = {
    errno.ENOSPC: "the disk is full: make room and run it again",
    errno.EFBIG: "a file exceeds the size limit (ulimit -f): raise that limit",
    errno.EDQUOT: "your disk quota is used up: make room and run it again",
    errno.EROFS: "this folder cannot be written: run it in a writable copy of the repository",
    errno.EACCES: "not permitted: you need read and write permission here",
    errno.EPERM: "not permitted: you need read and write permission here",
    errno.ENOENT: "not found: `dvc repro` first runs the stages that write it",
}


def run(main: Callable[..., None]) -> None:
    """Run a stage's `main` with the command-line arguments, then exit.

    Errors that the user can fix print one line on standard error, without a traceback, and exit with status 1. These
    include a full disk, a read-only folder, too little memory, and inputs that changed during the run.
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
    # All files are written. Exit without clean-up: destroying TensorFlow's objects takes two seconds per stage.
    os._exit(0)


def exhausted(error: Exception) -> str | None:
    """Return a one-line message for lack of memory, disk space, permissions or files; None for other errors."""
    reason = " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # of TensorFlow
        return f"not enough memory ({reason or 'no details'}); lower a batch_size or data.image_size"
    code = error.errno if isinstance(error, OSError) else None
    hint = HINTS.get(code)
    if hint is None and isinstance(error, OSError) and shutil.disk_usage(".").free < LITTLE:
        hint = HINTS[errno.ENOSPC]  # NumPy and HDF5 report a short write without an errno
    return hint and f"{reason}; {hint}"


def finish(
    result: Result,
    clock: Clock,
    folder: Path | None = None,
    *,
    seed_seconds: Mapping[int, float] | None = None,
    rates: Mapping[str, float] | None = None,
    processors: Iterable[str] = (),
    artifacts: Iterable[Path] = (),
    tables: Mapping[str, "pd.DataFrame"] | None = None,
    is_tracked: bool = True,
) -> str | None:
    """Write a stage's result, its wall times and its MLflow run.

    Parameters
    ----------
    folder : folder of the result, in results/; replaced as a whole; None to write no files
    seed_seconds : seed -> seconds of its training
    rates : speeds such as images_per_second
    processors : what computed each seed, or each part of the images; by default this machine's
    artifacts : small files to log to the run
    tables : name ending in .json -> table to log to the run
    is_tracked : False if the tracking store is known to be unavailable

    Returns
    -------
    Id of the run; None without a run. If the tracking store fails, a line is printed on standard error.
    """
    if folder is not None:
        with fresh_folder(folder) as made:
            result.write(made)
    timings.save(result, clock.spent, seed_seconds, processors, **(rates or {}))
    return runs.log_result(result, artifacts, tables or {}) if is_tracked else None


def finish_without_model(record: Record, why: str, clock: Clock, models: Path, folder: Path) -> None:
    """End a training stage whose variant has no model in its family.

    Write an empty folder of models and a result that states why: DVC expects both.
    """
    import pandas as pd

    with fresh_folder(models):
        pass
    finish(not_applicable(record, why, pd.DataFrame(columns=["seed", "epoch"])), clock, folder)
