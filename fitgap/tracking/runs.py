"""Write a result as MLflow runs: once per result, completely or not at all, and without risk to the result."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fitgap.pipeline.record import Result
from fitgap.tracking import store
from fitgap.tracking.failures import failures, warn
from fitgap.tracking.projection import FINGERPRINT

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

import dataclasses
import shutil
import tempfile
import time
from typing import TYPE_CHECKING

from fitgap.pipeline import timings
from fitgap.tracking import projection
from fitgap.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import DatasetInput


NO_TABLES: Mapping = MappingProxyType({})


def log_result(
    result: Result, artifacts: Iterable[Path] = (), tables: Mapping[str, "pd.DataFrame"] = NO_TABLES
) -> str | None:
    """Write the run of a result, or find the one written before.

    A model gets a parent run and one child run per seed; every other stage gets a single run. The files of the result
    (without probabilities) and the small files `artifacts` become artifacts. MLflow shows `tables`, keyed by
    name (ending in .json), as tables.

    Returns
    -------
    str or None
        Id of the (parent) run. None if the store failed; then one line is written to standard error.
    """
    try:
        with store.open_store() as opened:
            return _existing(opened, result) or write_runs(opened, result, artifacts, tables)
    except failures() as failure:
        warn(f"{result.name}: no MLflow run written", failure)
        return None


def log_results(results: Iterable[Result]) -> dict[str, str]:
    """Write missing runs, such as those of stages that DVC restored from its cache; return run ids by result name.

    Stop at the first failure, so that an unreachable server costs one timeout, not one per result.
    """
    ids: dict[str, str] = {}
    for result in results:
        run_id = log_result(result)
        if run_id is None:
            break
        ids[result.name] = run_id
    return ids


def link_report(report_run_id: str | None, model_runs: Mapping[str, str]) -> None:
    """Link the report's run to the models' runs (name -> id): in its description and in runs.json.

    MLflow's pages link neither from a run to its children nor from run to run (mlflow#17162).
    """
    if report_run_id is None:
        return
    try:
        with store.open_store() as opened:
            links = [opened.link(name, run_id) for name, run_id in model_runs.items()]
            opened.client.set_tag(report_run_id, NOTE, f"The runs in this report: {', '.join(links)}")
            opened.client.log_text(report_run_id, json.dumps(dict(model_runs), indent=2) + "\n", "runs.json")
    except failures() as failure:
        warn("report: its MLflow run does not link to the models' runs", failure)


def _existing(opened: store.Store, result: Result) -> str | None:
    """Return the id of this result's run, or None; delete partial runs of killed processes and repeated requests."""
    same = _search(opened, f"tags.`{FINGERPRINT}` = '{result.fingerprint}'")
    whole = [run for run in same if PARENT not in run.data.tags and run.info.status == "FINISHED"]
    if whole:
        # MLflow repeats a request if the response is lost, which can leave a duplicate run behind.
        _remove(opened, [run for run in same if run.info.status == "RUNNING"])
        return whole[0].info.run_id
    _remove(opened, [*same, *_half_written(opened, result)])
    return None


def _half_written(opened: store.Store, result: Result) -> list["Run"]:
    """Return unfinished runs of the same stage and variant, whatever their inputs, with their children."""
    name = {"stage": result.record.stage} | ({"variant": result.record.variant} if result.record.variant else {})
    conditions = [
        "attributes.status = 'RUNNING'",
        *(f"tags.{key} = '{value}'" for key, value in name.items()),
    ]
    runs = _search(opened, " and ".join(conditions))
    children = [_search(opened, f"tags.`{PARENT}` = '{run.info.run_id}'") for run in runs]
    return runs + [run for family in children for run in family]


def _search(opened: store.Store, condition: str) -> list["Run"]:
    """Return the runs that match and are not deleted."""
    opened.keep_time()
    return list(opened.client.search_runs([opened.experiment_id], condition))


def _remove(opened: store.Store, runs: Iterable["Run"]) -> None:
    """Delete the runs that this repository wrote; another machine may still be writing the others."""
    for run_id in {run.info.run_id for run in runs if run.data.tags.get(WRITER) == opened.writer}:
        opened.keep_time()
        opened.client.delete_run(run_id)


PARENT, NOTE, WRITER = "mlflow.parentRunId", "mlflow.note.content", "fitgap.writer"
_METRICS_PER_CALL, _PARAMS_PER_CALL = 900, 100  # log_batch takes 1000 in all, 100 of them params
_DIGEST_LENGTH = 36  # MLflow's limit for a dataset; the tag has the whole digest


def write_runs(opened: Store, result: Result, artifacts: Iterable[Path], tables: Mapping[str, "pd.DataFrame"]) -> str:
    """Write the run of a result, for a model with one child run per seed; return the (parent) run's id."""
    times = timings.load(result)
    common = {**projection.provenance_tags(result.record.stage), WRITER: opened.writer}
    run_id = _begin(opened, projection.parent_run(result, times), common)
    links = []
    for child in projection.seed_runs(result, times):
        child_id = _begin(opened, child, {**common, PARENT: run_id})
        opened.client.set_terminated(child_id)
        links.append(opened.link(f"seed {child.tags['seed']}", child_id))
    if links:  # MLflow's page of a run does not link to its children (mlflow#17162)
        opened.client.set_tag(run_id, NOTE, f"Means over {', '.join(links)}")
    _add_files(opened, run_id, result, artifacts)
    for name, table in tables.items():
        opened.client.log_table(run_id, table, name)
    opened.client.set_terminated(run_id)  # last, so that only complete runs are FINISHED
    return run_id


def _begin(opened: Store, run: projection.Run, tags: Mapping[str, str]) -> str:
    """Create a run and write everything except files; return its id."""
    from mlflow.entities import Metric, Param

    opened.keep_time()
    began = int((time.time() - run.seconds) * 1000)  # so that MLflow shows the work's duration
    run_id = opened.client.create_run(opened.experiment_id, began, {**run.tags, **tags}, run.name).info.run_id
    metrics = [Metric(name, value, began, step) for name, value, step in run.points]
    params = [Param(key, value) for key, value in run.params.items()]
    while metrics or params:
        opened.keep_time()
        batch = metrics[:_METRICS_PER_CALL], params[:_PARAMS_PER_CALL]
        opened.client.log_batch(run_id, *batch, synchronous=True)
        metrics, params = metrics[_METRICS_PER_CALL:], params[_PARAMS_PER_CALL:]
    if run.inputs:
        opened.client.log_inputs(run_id, [_dataset(name, of) for name, of in run.inputs.items()])
    return run_id


def _dataset(name: str, identity: Mapping[str, str]) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": f"sha256:{identity['digest']}"})
    dataset = Dataset(identity["name"], identity["digest"][:_DIGEST_LENGTH], "local", source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", name)])


def _add_files(opened: Store, run_id: str, result: Result, artifacts: Iterable[Path]) -> None:
    opened.keep_time()
    with tempfile.TemporaryDirectory() as folder:
        dataclasses.replace(result, test_probabilities=None).write(Path(folder))
        for path in artifacts:
            shutil.copy(path, folder)
        opened.client.log_artifacts(run_id, folder)
