"""Write a result as MLflow runs: once per result, completely or not at all, and without risk to the result."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap.data.record import Result
from fitgap.pipeline import timings
from fitgap.tracking import projection
from fitgap.tracking.projection import FINGERPRINT
from fitgap.tracking.store import NOTE, Store, StoreError, open_store, warn

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import DatasetInput, Run

Tables = Mapping[str, "pd.DataFrame"]
PARENT, WRITER = "mlflow.parentRunId", "fitgap.writer"
# What a shared link to a table of runs holds, as MLflow's pages write it: the models, the best by validation first.
# Its address ends in ?viewStateShareKey=leaderboard (`make ui`).
LEADERBOARD = {
    "searchFilter": "metrics.seeds > 0",  # parent runs alone have this metric
    "orderByKey": "metrics.`val_accuracy_best`",
    "orderByAsc": False,
    "selectedColumns": [f"metrics.`{name}`" for name in ("val_accuracy_best", "test_accuracy", "gap_last")],
}
VIEW = "mlflow.sharedViewState.leaderboard"
_DIGEST_LENGTH = 36  # MLflow's limit for a dataset; the tag has the whole digest


def log_result(result: Result, artifacts: Iterable[Path] = (), tables: Tables | None = None) -> str | None:
    """Write the run of a result, or find the one written before; return the id of the (parent) run.

    A model gets a parent run and one child run per seed; every other stage gets a single run. The record and the small
    files `artifacts` become artifacts. MLflow shows `tables`, keyed by name (ending in .json), as tables. If the store
    fails, None is returned and one line is written to standard error.
    """
    try:
        return _find_or_write(result, artifacts, tables or {})
    except StoreError as failure:
        warn(f"{result.name}: no MLflow run written", failure)
        return None


def log_results(results: Sequence[Result]) -> dict[str, str]:
    """Write missing runs, such as those of stages that DVC restored from its cache; return run ids by result name.

    A run that the store rejects is left out. Any other failure ends it, so that an unreachable server costs one
    timeout, not one per result; then the dict is empty. Both write one line to standard error.
    """
    ids: dict[str, str] = {}
    rejected: dict[str, StoreError] = {}
    for result in results:
        try:
            ids[result.name] = _find_or_write(result, (), {})
        except StoreError as failure:
            if not failure.is_rejection:
                missing = len(results) - len(ids)
                warn(f"{missing} of {len(results)} MLflow runs neither found nor written", failure)
                return {}
            rejected[result.name] = failure
    if rejected:
        warn(f"{', '.join(rejected)}: no MLflow run written", next(iter(rejected.values())))
    return ids


def link_report(report_run_id: str | None, model_runs: Mapping[str, str], answer: Sequence[str] = ()) -> None:
    """Describe the report's run by its answer and links to the models' runs (name -> id), which are in runs.json too.

    The experiment gets the leaderboard of all models. MLflow does not link a run to its children, nor to another run
    (mlflow#17162).
    """
    if report_run_id is None:
        return
    try:
        with open_store() as opened:
            links = [opened.link(name, run_id) for name, run_id in model_runs.items()]
            lines = [*(f"- {sentence}" for sentence in answer), "", f"The runs in this report: {', '.join(links)}"]
            opened.client.set_tag(report_run_id, NOTE, "\n".join(lines))
            opened.client.set_experiment_tag(opened.experiment_id, VIEW, json.dumps(LEADERBOARD))
            opened.client.log_text(report_run_id, json.dumps(dict(model_runs), indent=2) + "\n", "runs.json")
    except StoreError as failure:
        warn("report: its MLflow run does not link to the models' runs", failure)


def _find_or_write(result: Result, artifacts: Iterable[Path], tables: Tables) -> str:
    with open_store() as opened:
        return find_run(opened, result) or write_runs(opened, result, artifacts, tables)


def find_run(opened: Store, result: Result) -> str | None:
    """Return the id of this result's run, or None; delete partial runs of killed processes and repeated requests."""
    same = _search(opened, f"tags.`{FINGERPRINT}` = '{result.fingerprint}'")
    finished = [run for run in same if PARENT not in run.data.tags and run.info.status == "FINISHED"]
    if finished:
        # MLflow repeats a request if the response is lost, which can leave a duplicate run behind.
        _delete(opened, [run for run in same if run.info.status == "RUNNING"])
        return finished[0].info.run_id
    _delete(opened, same)
    delete_unfinished(opened, result.record.stage, result.record.variant)
    return None


def delete_unfinished(opened: Store, stage: str, variant: str | None) -> None:
    """Delete this repository's unfinished runs of a stage and variant, whatever their inputs, with their children."""
    conditions = ["attributes.status = 'RUNNING'", f"tags.stage = '{stage}'"]
    conditions += [f"tags.variant = '{variant}'"] if variant else []
    runs = _search(opened, " and ".join(conditions))
    children = [child for run in runs for child in _search(opened, f"tags.`{PARENT}` = '{run.info.run_id}'")]
    _delete(opened, runs + children)


def _search(opened: Store, condition: str) -> list["Run"]:
    """Return the runs that match and are not deleted."""
    return list(opened.client.search_runs([opened.experiment_id], condition))


def _delete(opened: Store, runs: Iterable["Run"]) -> None:
    """Delete the runs that this repository wrote; another machine may still be writing the others."""
    for run_id in {run.info.run_id for run in runs if run.data.tags.get(WRITER) == opened.writer}:
        opened.client.delete_run(run_id)


def write_runs(opened: Store, result: Result, artifacts: Iterable[Path], tables: Tables) -> str:
    """Write the run of a result, for a model with one child run per seed and trial; return the (parent) run's id."""
    times = timings.load(result)
    common = {**projection.provenance_tags(result.record.stage), WRITER: opened.writer}
    run_id = _begin(opened, projection.parent_run(result, times), common)
    links = []
    for child in [*projection.seed_runs(result, times), *projection.trial_runs(result)]:
        child_id = _begin(opened, child, {**common, PARENT: run_id})
        opened.client.set_terminated(child_id)
        links += [opened.link(f"seed {child.tags['seed']}", child_id)] if "seed" in child.tags else []
    if links:  # MLflow's page of a run does not link to its children (mlflow#17162)
        opened.client.set_tag(run_id, NOTE, f"Means over {', '.join(links)}")
    uploads = {"record.json": partial(opened.client.log_dict, run_id, result.record.to_dict(), "record.json")}
    uploads |= {path.name: partial(opened.client.log_artifact, run_id, str(path)) for path in artifacts}
    uploads |= {name: partial(opened.client.log_table, run_id, table, name) for name, table in tables.items()}
    for name, upload in uploads.items():
        try:
            upload()
        except Exception as cause:  # a refused file, such as one too large for a proxy, is missing; all else arrives
            failure = StoreError(cause)
            if not failure.is_rejection:
                raise
            warn(f"{result.name}: {name} is not in its MLflow run", failure)
    opened.client.set_terminated(run_id)  # last, so that only complete runs are FINISHED
    return run_id


def _begin(opened: Store, run: projection.Run, tags: Mapping[str, str]) -> str:
    """Create a run and write everything except files; return its id."""
    from mlflow.entities import Metric, Param

    began = int((time.time() - run.seconds) * 1000)  # so that MLflow shows the work's duration
    run_id = opened.client.create_run(opened.experiment_id, began, {**run.tags, **tags}, run.name).info.run_id
    metrics = [Metric(name, value, began, step) for name, value, step in run.points]
    params = [Param(key, value) for key, value in run.params.items()]
    opened.client.log_batch(run_id, metrics, params)
    if run.inputs:
        opened.client.log_inputs(run_id, [_dataset(name, of) for name, of in run.inputs.items()])
    return run_id


def _dataset(name: str, identity: Mapping[str, str]) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": f"sha256:{identity['digest']}"})
    dataset = Dataset(identity["name"], identity["digest"][:_DIGEST_LENGTH], "local", source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", name)])
