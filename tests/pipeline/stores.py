"""Compare the contents of MLflow stores, ignoring ids, clock times and paths."""

from collections import Counter
from pathlib import Path
from typing import Any

import mlflow

# What differs between any two runs: who wrote it, when, where, on what, and from which revision of a clone.
OWN_TAGS = ("mlflow.", "fitgap.writer", "git_", "processors")
OWN_METRICS = ("seconds", "images_per_second", "epoch_seconds")

Contents = Counter[tuple]


def contents(database: Path) -> Contents:
    """Count the runs of a store by their content; parents and children count separately."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "fitgap"]
    runs = client.search_runs([experiment.experiment_id], max_results=5000)
    return Counter(_held(client, run) for run in runs)


def differences(one: Contents, other: Contents) -> list[str]:
    """Return one line for each run whose number of occurrences differs between the stores."""
    lines = [f"only in the first: {run}" for run in (one - other).elements()]
    return lines + [f"only in the second: {run}" for run in (other - one).elements()]


def _held(client: mlflow.MlflowClient, run: Any) -> tuple:
    metrics = {name for name in run.data.metrics if not name.endswith(OWN_METRICS)}
    history = tuple(
        (name, tuple((point.step, repr(point.value)) for point in client.get_metric_history(run.info.run_id, name)))
        for name in sorted(metrics)
    )
    tags = sorted((name, value) for name, value in run.data.tags.items() if not name.startswith(OWN_TAGS))
    files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
    is_child = "mlflow.parentRunId" in run.data.tags
    about = run.info.run_name, run.info.status, is_child
    return (*about, tuple(tags), tuple(sorted(run.data.params.items())), tuple(files), history)
