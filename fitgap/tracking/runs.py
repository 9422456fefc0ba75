"""Write a result as MLflow runs: once per result, whole or not at all, and never at the result's cost."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fitgap.results import Result
from fitgap.tracking import store, writing
from fitgap.tracking.failures import failures, warn
from fitgap.tracking.projection import FINGERPRINT
from fitgap.tracking.writing import NOTE, PARENT, WRITER

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

NOTHING: Mapping = MappingProxyType({})


def log(result: Result, artifacts: Iterable[Path] = (), tables: Mapping[str, "pd.DataFrame"] = NOTHING) -> str | None:
    """Write the run of a result, or find the one written before.

    A model gets a parent run and one child per seed; every other stage a single run. The files of the result
    (without probabilities) become artifacts, and so do the small files `artifacts`. MLflow shows `tables`, by
    name (ending in .json), as tables.

    Returns
    -------
    str or None
        The id of the (parent) run. None where the store failed; one line on standard error says so.
    """
    try:
        with store.opened() as opened:
            return _existing(opened, result) or writing.write(opened, result, artifacts, tables)
    except failures() as failure:
        warn(f"{result.name}: no MLflow run written", failure)
        return None


def log_all(results: Iterable[Result]) -> dict[str, str]:
    """Write the runs that are missing, of stages that DVC restored from its cache; give their ids by name.

    Ends at the first failure: a server that is away is waited for once, not once per result.
    """
    ids: dict[str, str] = {}
    for result in results:
        run_id = log(result)
        if run_id is None:
            break
        ids[result.name] = run_id
    return ids


def link(report_run_id: str | None, model_runs: Mapping[str, str]) -> None:
    """Let the report's run point at the models' runs (name -> id): links in its description, and runs.json.

    MLflow's pages link neither from a run to its children nor from run to run (mlflow#17162).
    """
    if report_run_id is None:
        return
    try:
        with store.opened() as opened:
            links = [opened.link(name, run_id) for name, run_id in model_runs.items()]
            opened.client.set_tag(report_run_id, NOTE, f"The runs this report tells of: {', '.join(links)}")
            opened.client.log_text(report_run_id, json.dumps(dict(model_runs), indent=2) + "\n", "runs.json")
    except failures() as failure:
        warn("report: its MLflow run does not link to the models' runs", failure)


def _existing(opened: store.Store, result: Result) -> str | None:
    """Give the id of the run of this result, or None; remove what dead processes and lost answers left of it."""
    same = _search(opened, f"tags.`{FINGERPRINT}` = '{result.fingerprint}'")
    whole = [run for run in same if PARENT not in run.data.tags and run.info.status == "FINISHED"]
    if whole:
        # MLflow asks twice where an answer is lost, and a run begun twice is left behind once.
        _remove(opened, [run for run in same if run.info.status == "RUNNING"])
        return whole[0].info.run_id
    _remove(opened, [*same, *_half_written(opened, result)])
    return None


def _half_written(opened: store.Store, result: Result) -> list["Run"]:
    """Find what a process that died left of the same stage and variant, measured on whatever."""
    name = {key: result.record[key] for key in ("stage", "variant") if result.record[key] is not None}
    conditions = [
        "attributes.status = 'RUNNING'",
        *(f"tags.{key} = '{value}'" for key, value in name.items()),
    ]
    runs = _search(opened, " and ".join(conditions))
    children = [_search(opened, f"tags.`{PARENT}` = '{run.info.run_id}'") for run in runs]
    return runs + [run for family in children for run in family]


def _search(opened: store.Store, condition: str) -> list["Run"]:
    """Find runs that were not deleted."""
    opened.keep_time()
    return list(opened.client.search_runs([opened.experiment_id], condition))


def _remove(opened: store.Store, runs: Iterable["Run"]) -> None:
    """Delete runs, those excepted that another machine may be writing right now."""
    for run_id in {run.info.run_id for run in runs if run.data.tags.get(WRITER) == opened.writer}:
        opened.keep_time()
        opened.client.delete_run(run_id)
