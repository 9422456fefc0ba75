"""Write a result as MLflow runs: once per result, completely or not at all, and without risk to the result."""

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fitgap.data.record import Result
from fitgap.pipeline import timings
from fitgap.tracking import projection, store
from fitgap.tracking.existing import PARENT, WRITER, find_rival, find_run, remove_own
from fitgap.tracking.failures import failures, is_rejection, warn
from fitgap.tracking.store import NOTE, Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import DatasetInput

NO_TABLES: Mapping = MappingProxyType({})
_DIGEST_LENGTH = 36  # MLflow's limit for a dataset; the tag has the whole digest


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
        return _find_or_write(result, artifacts, tables)
    except failures() as failure:
        warn(f"{result.name}: no MLflow run written", failure)
        return None


def _find_or_write(result: Result, artifacts: Iterable[Path], tables: Mapping[str, "pd.DataFrame"]) -> str:
    with store.open_store() as opened:
        return find_run(opened, result) or write_runs(opened, result, artifacts, tables)


def log_results(results: Sequence[Result]) -> dict[str, str]:
    """Write missing runs, such as those of stages that DVC restored from its cache; return run ids by result name.

    A run that the store rejects is left out. Any other failure ends it, so that an unreachable server costs one
    timeout, not one per result; then the dict is empty. Both write one line to standard error.
    """
    ids: dict[str, str] = {}
    rejected: dict[str, Exception] = {}
    for result in results:
        try:
            ids[result.name] = _find_or_write(result, (), NO_TABLES)
        except failures() as failure:
            if not is_rejection(failure):
                missing = len(results) - len(ids)
                warn(f"{missing} of {len(results)} MLflow runs neither found nor written", failure)
                return {}
            rejected[result.name] = failure
    if rejected:
        warn(f"{_some(list(rejected))}: no MLflow run written", next(iter(rejected.values())))
    return ids


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


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


def write_runs(opened: Store, result: Result, artifacts: Iterable[Path], tables: Mapping[str, "pd.DataFrame"]) -> str:
    """Write the run of a result, for a model with one child run per seed; return the (parent) run's id.

    If another clone finishes the same result meanwhile, its run stays, and this one is deleted.
    """
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
    if rival := find_rival(opened, result, run_id):
        remove_own(opened, run_id)
        return rival
    opened.client.set_terminated(run_id)  # last, so that only complete runs are FINISHED
    return run_id


def _begin(opened: Store, run: projection.Run, tags: Mapping[str, str]) -> str:
    """Create a run and write everything except files; return its id."""
    from mlflow.entities import Metric, Param

    began = int((time.time() - run.seconds) * 1000)  # so that MLflow shows the work's duration
    run_id = opened.client.create_run(opened.experiment_id, began, {**run.tags, **tags}, run.name).info.run_id
    metrics = [Metric(name, value, began, step) for name, value, step in run.points]
    params = [Param(key, value) for key, value in run.params.items()]
    opened.client.log_all(run_id, metrics, params)
    if run.inputs:
        opened.client.log_inputs(run_id, [_dataset(name, of) for name, of in run.inputs.items()])
    return run_id


def _dataset(name: str, identity: Mapping[str, str]) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": f"sha256:{identity['digest']}"})
    dataset = Dataset(identity["name"], identity["digest"][:_DIGEST_LENGTH], "local", source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", name)])


def _add_files(opened: Store, run_id: str, result: Result, artifacts: Iterable[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataclasses.replace(result, test_probabilities=None).write(Path(folder))
        for path in artifacts:
            shutil.copy(path, folder)
        opened.client.log_artifacts(run_id, folder)
