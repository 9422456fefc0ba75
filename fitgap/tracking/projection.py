"""Describe a result as MLflow runs, without importing MLflow: names, params, metrics and provenance tags."""

import getpass
import json
import math
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fitgap.data.record import Result
from fitgap.data.results import WAYS

FINGERPRINT = "fitgap.fingerprint"


@dataclass(frozen=True)
class Run:
    """The content of one run."""

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    points: list[tuple[str, float, int]]  # metric, value, step: 0, of curves the epoch (from 1) or the images seen
    inputs: dict[str, dict[str, str]]  # name -> {"name", "digest"}
    seconds: float  # duration of the work; 0 if it was done on another machine


def parent_run(result: Result, times: Mapping[str, Any] | None) -> Run:
    """Return the run of a stage: for a model the parent run, with means and deviations (`_sd`) over seeds, and `seeds`.

    From `times` (see `timings.load`), `stage_seconds`, the rates and the mean `seconds` per training become metrics,
    and the processors a tag.
    """
    record, measured, tags = result.record, dict(result.record.measured or {}), {}
    if result.is_model:
        measured |= _seed_statistics(result.seeds)
    if record.best_seed is not None:
        tags["best_seed"] = str(record.best_seed)
    if times:
        trainings = list(times["seed_seconds"].values())
        measured |= {"stage_seconds": times["stage_seconds"], **times["rates"]}
        measured |= {"seconds": sum(trainings) / len(trainings)} if trainings else {}
        tags["processors"] = "; ".join(times["processors"])
    curves = None if result.history is None or result.history.empty else _mean_curves(result.history)
    return _run(result, result.name, tags, measured, curves, times["stage_seconds"] if times else 0)


def seed_runs(result: Result, times: Mapping[str, Any] | None) -> list[Run]:
    """Return the child runs: one per seed, with the same metric names as the parent.

    The list is empty for stages that train no model per seed, such as `asis`, which has no variant.
    """
    seconds = times["seed_seconds"] if times else {}
    if not result.is_model or result.record.variant is None:
        return []
    return [_seed_run(result, seed, seconds.get(str(seed))) for seed in result.seeds.index]


def trial_runs(result: Result) -> list[Run]:
    """Return a child run per trial: its choice, and means over its draws; empty without trials."""
    if result.trials is None or result.trials.empty:
        return []
    keys = list(result.record.choice)
    return [_trial_run(result, keys, number, rows) for number, rows in result.trials.groupby("trial")]


def _trial_run(result: Result, keys: list[str], number: int, rows: pd.DataFrame) -> Run:
    record = result.record
    measured = rows.drop(columns=["trial", "draw", "rank", *keys]).mean().to_dict() | {"draws": len(rows)}
    tags = {"stage": record.stage, "variant": record.variant, FINGERPRINT: result.fingerprint, "trial": str(number)}
    tags |= {"chosen": "true"} if number == record.chosen_trial else {}
    params = {key: str(rows[key].iloc[0]) for key in keys}
    return Run(f"{result.name} trial {number}", tags, params, _points(measured, None), {}, 0)


def _seed_run(result: Result, seed: int, seconds: float | None) -> Run:
    measured = result.seeds.loc[seed].to_dict()
    measured |= {} if seconds is None else {"seconds": seconds}
    history = result.history
    curves = None if history is None else _index_by_step(history[history["seed"] == seed])
    return _run(result, f"{result.name} seed {seed}", {"seed": str(seed)}, measured, curves, seconds or 0)


def _run(result, name: str, tags: dict, measured: dict, curves: pd.DataFrame | None, seconds: float) -> Run:
    record = result.record
    measured |= {f"params_{kind}": n for kind, n in (record.parameters or {}).items()}
    params = {key: value if isinstance(value, str) else json.dumps(value) for key, value in record.params.items()}
    digests = {f"{kind}_digest": identity["digest"] for kind, identity in record.inputs.items()}
    variant = {} if record.variant is None else {"variant": record.variant}
    tags = {"stage": record.stage, **variant, **digests, FINGERPRINT: result.fingerprint, **tags}
    return Run(name, tags, params, _points(measured, curves), record.inputs, seconds)


def _seed_statistics(seeds: pd.DataFrame) -> dict[str, float]:
    numbers = seeds.select_dtypes("number")
    means = numbers.mean(skipna=False)
    spreads = numbers.std(ddof=1, skipna=False).add_suffix("_sd") if len(seeds) > 1 else {}
    # As many digits as a table can show; the seeds' own runs are exact.
    return {**{name: float(f"{value:.6g}") for name, value in {**means, **spreads}.items()}, "seeds": len(seeds)}


def _index_by_step(history: pd.DataFrame) -> pd.DataFrame:
    """Index curves by their step, the first column other than `seed`: epochs, or images seen; add the gap per epoch."""
    curves = history.drop(columns="seed", errors="ignore")
    if {"train_loss", "val_loss"} <= {*curves}:
        curves["gap"] = curves["val_loss"] - curves["train_loss"]
    # The learning curve's record and metrics.json have the way last: test_accuracy_scratch.
    ways = {name: f"{name.removeprefix(f'{way}_')}_{way}" for way in WAYS for name in curves if name.startswith(way)}
    return curves.rename(columns=ways).set_index(curves.columns[0])


def _mean_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Return the mean per step; NaN unless every seed has a value, because a mean over fewer seeds would jump."""
    steps = _index_by_step(history).groupby(level=0)
    return steps.mean().where(steps.count() == (history["seed"].nunique() if "seed" in history else 1))


def _points(measured: dict, curves: pd.DataFrame | None) -> list[tuple[str, float, int]]:
    names = () if curves is None else curves.columns
    points = [(name, value, 0) for name, value in measured.items() if name not in names]
    for name in names:
        points += [(name, value, step) for step, value in curves[name].items()]
    # Databases and charts handle NaN and infinity differently; history.csv keeps them.
    return [(n, float(v), int(step)) for n, v, step in points if _is_number(v) and math.isfinite(v)]


def _is_number(value: Any) -> bool:
    return pd.api.types.is_number(value) and not pd.api.types.is_bool(value)


def provenance_tags(stage: str) -> dict[str, str]:
    """Return the tags that all runs of one stage share; unknown ones are omitted.

    `git_dirty` is "true" if a tracked file differs from the revision. `dvc.lock` is excluded, because DVC itself
    writes it after every stage.
    """
    experiment = os.environ.get("DVC_EXP_NAME")
    return {
        "mlflow.source.name": f"stages/{stage}.py",
        "mlflow.source.type": "LOCAL",
        **_user(),
        **_revision(),
        **({"dvc_experiment": experiment} if experiment else {}),
    }


def _user() -> dict[str, str]:
    try:
        return {"mlflow.user": os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()}
    except (KeyError, OSError):  # a container may run as a user without a name
        return {}


def _revision() -> dict[str, str]:
    # No optional locks: DVC may be using Git's index at the same time.
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    command += ["--", ".", ":(exclude)dvc.lock"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # Git or the repository is missing; a plain folder works too
        return {}
    lines = answer.stdout.splitlines()
    tags = {"git_dirty": str(any(not line.startswith("#") for line in lines)).lower()}
    for line in lines:
        if line.startswith("# branch.oid ") and not line.endswith("(initial)"):
            tags["git_revision"] = tags["mlflow.source.git.commit"] = line.split()[-1]
    return tags
