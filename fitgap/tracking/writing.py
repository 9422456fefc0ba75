"""Put a result into an open store, in few requests: about four per run, however long its curves are."""

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap import timings
from fitgap.results import Result
from fitgap.tracking import projection, provenance
from fitgap.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import DatasetInput

PARENT, NOTE, WRITER = "mlflow.parentRunId", "mlflow.note.content", "fitgap.writer"
_METRICS_PER_CALL, _PARAMS_PER_CALL = 900, 100  # log_batch takes 1000 in all, 100 of them params
_DIGEST_LENGTH = 36  # of a dataset, in MLflow; the tag holds the whole digest


def write(opened: Store, result: Result, artifacts: Iterable[Path], tables: Mapping[str, "pd.DataFrame"]) -> str:
    """Write the run of a result, for a model with one child per seed; give the (parent) run's id."""
    times = timings.of(result)
    common = {**provenance.tags(result.record["stage"]), WRITER: opened.writer}
    run_id = _begin(opened, projection.whole(result, times), common)
    links = []
    for child in projection.of_seeds(result, times):
        child_id = _begin(opened, child, {**common, PARENT: run_id})
        opened.client.set_terminated(child_id)
        links.append(opened.link(f"seed {child.tags['seed']}", child_id))
    if links:  # MLflow's page of a run does not link to its children (mlflow#17162)
        opened.client.set_tag(run_id, NOTE, f"Means over {', '.join(links)}")
    _add_files(opened, run_id, result, artifacts)
    for name, table in tables.items():
        opened.client.log_table(run_id, table, name)
    opened.client.set_terminated(run_id)  # last: only a run that holds everything is FINISHED
    return run_id


def _begin(opened: Store, run: projection.Run, tags: Mapping[str, str]) -> str:
    """Start a run and give it everything but files."""
    from mlflow.entities import Metric, Param

    opened.keep_time()
    began = int((time.time() - run.seconds) * 1000)  # so that the run's duration is that of the work
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
