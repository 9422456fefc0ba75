"""The steps common to all stages: start, report user errors in one line, write the result, set the exit status."""

import errno
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap.cluster.work import train_on_cluster
from fitgap.data.record import Result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.definitions.families import FAMILIES
from fitgap.params.reading import load_params
from fitgap.pipeline import inputs, timings
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.pipeline.timings import Clock
from fitgap.system.errors import UserError
from fitgap.system.files import fresh_folder
from fitgap.tracking import runs
from fitgap.tracking.live import open_live_run, show_nothing
from fitgap.tracking.models import attach_models

if TYPE_CHECKING:
    import pandas as pd

    from fitgap.training.experiment import Experiment
    from fitgap.training.learning_curve import BothWays

MODELS, RESULTS, BACKBONE = Path("models"), Path("results"), Path("data/backbone/vgg16_notop.weights.h5")
LITTLE = 1_000_000  # free bytes below which a disk counts as full
HINTS = {
    errno.ENOSPC: "the disk is full: make room and run it again",
    errno.EFBIG: "a file exceeds the size limit (ulimit -f): raise that limit",
    errno.EDQUOT: "your disk quota is used up: make room and run it again",
    errno.EROFS: "this folder cannot be written: run it in a writable copy of the repository",
    errno.EACCES: "not permitted: you need read and write permission here",
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
        reason = explain(error)
        if reason is None:
            raise
        sys.exit(f"fitgap: {name}: {reason}")
    sys.stdout.flush()
    sys.stderr.flush()
    # All files are written. Exit without clean-up: destroying TensorFlow's objects takes two seconds per stage.
    os._exit(0)


def explain(error: Exception) -> str | None:
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

    Returns
    -------
    Id of the run; None without a run. If the tracking store fails, a line is printed on standard error.
    """
    if folder is not None:
        with fresh_folder(folder) as made:
            result.write(made)
    timings.save(result, clock.spent, seed_seconds, processors, **(rates or {}))
    return runs.log_result(result, artifacts, tables or {})


def train_stage(experiment: Callable[[str], "Experiment | BothWays"], weights: str = "none") -> None:
    """Run a training stage, then exit: train a model per seed, here or on a cluster, and write what it leaves.

    Finished seeds stay in a checkpoint until the results are written.

    Parameters
    ----------
    experiment : takes the stage's argument (a variant, a depth or a size); called after TensorFlow has been started
    weights : whose weights stay in models/: of "every seed", of the "best seed", or "none"
    """
    run(partial(_train_and_write, experiment, weights))


def _train_and_write(experiment: Callable[[str], "Experiment | BothWays"], weights: str, name: str) -> None:
    clock, params, family = Clock(), load_params(), Path(sys.argv[0]).stem
    stage, models, folder = f"{family}@{name}", MODELS / family / name, RESULTS / family / name
    start_tensorflow(0, params.compute.threads)
    trained = experiment(name)
    if trained.obstacle is not None:
        if weights != "none":
            with fresh_folder(models):
                pass  # DVC expects the folder
        finish(trained.obstacle, clock, folder)
        return
    with open_checkpoint(stage) as checkpoint:
        with clock.working(), open_live_run(stage) as live:
            train_on_cluster(stage, params.compute.threads, trained.seeds, checkpoint)
            outcome = trained.run(trained.seeds, checkpoint, live.add_epoch)
        record = outcome.result.record
        if weights != "none":
            with fresh_folder(models) as made:
                outcome.save_weights(made, trained.seeds if weights == "every seed" else [record.best_seed])
        run_id = finish(outcome.result, clock, folder, **outcome.times)
    if run_id is not None and family in FAMILIES and FAMILIES[family].attached == "all":
        attach_models([outcome.result], {outcome.result.name: run_id}, params, MODELS, BACKBONE)


def train_seeds(family: str, name: str, seeds: list[int], checkpoint: Checkpoint) -> None:
    """Train seeds of a stage into a checkpoint: the task of a node of a cluster."""
    _experiment_of(family, name).run(seeds, checkpoint, show_nothing)


@cache
def _experiment_of(family: str, name: str) -> "Experiment | BothWays":
    """Build the experiment once for all seeds of a process: it compiles its network."""
    return importlib.import_module(f"stages.{family}").experiment(name)
