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
    """Count the runs of a store by their content, parents and children separately, their models, and the champions."""
    address = f"sqlite:///{database}"
    client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
    experiment = client.get_experiment_by_name("fitgap").experiment_id
    runs = client.search_runs([experiment], max_results=5000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    models = client.search_logged_models([experiment])
    rows = [_content(client, run) for run in runs]
    rows += [(f"model of {names.get(model.source_run_id)}", _status(model)) for model in models]
    for model in client.search_registered_models():
        champion = client.get_model_version_by_alias(model.name, "champion")
        rows.append((f"champion of {model.name}", "FINISHED", champion.tags["fitgap.model"]))
    return Counter(rows)


def _status(model: Any) -> str:
    return "FINISHED" if str(model.status) == "READY" else "RUNNING"


def differences(first: Contents, second: Contents) -> list[str]:
    """Return one line for each run whose number of occurrences differs between the stores."""
    lines = [f"only in the first: {run}" for run in (first - second).elements()]
    return lines + [f"only in the second: {run}" for run in (second - first).elements()]


def _content(client: mlflow.MlflowClient, run: Any) -> tuple:
    metrics = {name for name in run.data.metrics if not name.endswith(OWN_METRICS)}
    history = tuple(
        (name, tuple((point.step, repr(point.value)) for point in client.get_metric_history(run.info.run_id, name)))
        for name in sorted(metrics)
    )
    tags = sorted((name, value) for name, value in run.data.tags.items() if not name.startswith(OWN_TAGS))
    is_child = "mlflow.parentRunId" in run.data.tags
    head = run.info.run_name, run.info.status, is_child
    return (*head, tuple(tags), tuple(sorted(run.data.params.items())), history)
