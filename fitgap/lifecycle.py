"""The steps common to all stages: start, report user errors in one line, write the result, set the exit status."""

import errno
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fitgap.cluster.work import train_on_cluster
from fitgap.data.draws import trial_seeds
from fitgap.data.record import NO_TRIALS, Record, Result, not_applicable
from fitgap.definitions.determinism import start_tensorflow
from fitgap.definitions.families import FAMILIES
from fitgap.params.reading import load_params
from fitgap.params.schema import Choice
from fitgap.pipeline import inputs, timings
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.pipeline.timings import Clock
from fitgap.system import repository
from fitgap.system.errors import UserError
from fitgap.system.files import fresh_folder
from fitgap.tracking import runs
from fitgap.tracking.live import LiveRun
from fitgap.tracking.models import attach_models

if TYPE_CHECKING:
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
    """Run the `main` of a stage or a program with the command-line arguments, then exit.

    Errors that the user can fix print one line on standard error, without a traceback, and exit with status 1. These
    include a full disk, a read-only folder, too little memory, and inputs that changed during the run.
    """
    name = "@".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    try:
        repository.check_outputs(Path.cwd())
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
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> str | None:
    """Write a stage's result, its wall times and its MLflow run, whose id is returned; None without a run.

    If the tracking store fails, a line is printed on standard error.

    Parameters
    ----------
    folder : folder of the result, in results/; replaced as a whole; None to write no files
    seed_seconds, rates, processors : as in `timings.save`
    artifacts : small files to log to the run
    tables : name ending in .json -> table to log to the run
    """
    if folder is not None:
        with fresh_folder(folder) as made:
            result.write(made)
    timings.save(result, clock.spent, seed_seconds, processors, **(rates or {}))
    return runs.log_result(result, artifacts, tables or {})


def train_stage(experiment: "Callable[..., Experiment | BothWays]", is_contestant: bool = False) -> None:
    """Run a training stage, then exit: choose by trials, train a model per seed, here or on a cluster, and write.

    Finished trials and seeds stay in a checkpoint until the results are written.

    Parameters
    ----------
    experiment : takes the stage's argument (a variant, a depth or a size), and a choice where the model has candidates;
        called after TensorFlow has been started
    is_contestant : whether it leaves trials, and weights in models/: the best seed's, or every seed's if fine-tuning
        starts from them
    """
    run(partial(_train_and_write, experiment, is_contestant))


def _train_and_write(experiment: "Callable[..., Experiment | BothWays]", is_contestant: bool, name: str) -> None:
    clock, params, family = Clock(), load_params(), Path(sys.argv[0]).stem
    stage, models, folder = f"{family}@{name}", MODELS / family / name, RESULTS / family / name
    if is_contestant and (model := params.model(family, name)).obstacle:
        with fresh_folder(models):
            pass  # DVC expects the folder
        record, history = Record(family, name, model.recorded, {}, measured={}), pd.DataFrame(columns=["seed", "epoch"])
        finish(replace(not_applicable(record, model.obstacle, history), trials=NO_TRIALS), clock, folder)
        return
    start_tensorflow(0, params.compute.threads)
    declared = experiment(name)
    if declared.obstacle is not None:
        finish(declared.obstacle, clock, folder)
        return
    with open_checkpoint(stage) as checkpoint:
        with clock.working(), closing(LiveRun(stage)) as live:
            trained, choice = declared, {}
            if is_contestant:
                from fitgap.training.trials import run_trials  # imports TensorFlow

                trials = run_trials(declared, partial(experiment, name), checkpoint)
                trained, choice = trials.experiment, trials.choice
            train_on_cluster(stage, params.compute.threads, trained.seeds, checkpoint, choice)
            outcome = trained.run(trained.seeds, checkpoint, live.add_epoch)
        result = trials.added_to(outcome.result) if is_contestant else outcome.result
        if is_contestant:
            with fresh_folder(models) as made:
                outcome.save_weights(made, trained.seeds if trained.is_start else [result.record.best_seed])
                if trained.is_start:  # of fine-tuning, whose trials have draws of their own
                    draws = trial_seeds(trained.seeds)
                    trained.run(draws, checkpoint).save_weights(made, draws)
        run_id = finish(result, clock, folder, **outcome.times)
    if run_id is not None and family in FAMILIES and FAMILIES[family].attached == "all":
        attach_models([result], {result.name: run_id}, params, MODELS, BACKBONE)


def train_seeds(family: str, name: str, choice: Choice, seeds: list[int], checkpoint: Checkpoint) -> None:
    """Train seeds of a stage into a checkpoint: the task of a node of a cluster."""
    _experiment_of(family, name, json.dumps(choice)).run(seeds, checkpoint)


@cache
def _experiment_of(family: str, name: str, choice: str) -> "Experiment | BothWays":
    """Build the experiment once for all seeds of a process: it compiles its network."""
    experiment, chosen = importlib.import_module(f"stages.{family}").experiment, json.loads(choice)
    return experiment(name, chosen) if chosen else experiment(name)
