"""Find a result's run in the store, so that it is written once, by whichever process or clone comes first."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fitgap.data.record import Result
from fitgap.tracking.projection import FINGERPRINT
from fitgap.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

PARENT, WRITER = "mlflow.parentRunId", "fitgap.writer"
PATIENCE = 5  # seconds to wait for another clone that writes the same result
_PAUSE = 0.2  # seconds between two looks
_ALIVE = ("RUNNING", "FINISHED")


def find_run(opened: Store, result: Result) -> str | None:
    """Return the id of this result's run, or None; delete partial runs of killed processes and repeated requests."""
    same = _search(opened, _fingerprint(result))
    finished = [run for run in same if PARENT not in run.data.tags and run.info.status == "FINISHED"]
    if finished:
        # MLflow repeats a request if the response is lost, which can leave a duplicate run behind.
        _remove(opened, [run for run in same if run.info.status == "RUNNING"])
        return finished[0].info.run_id
    _remove(opened, same)
    remove_unfinished(opened, result.record.stage, result.record.variant)
    return None


def find_rival(opened: Store, result: Result, run_id: str) -> str | None:
    """Return the id of another clone's finished run of the same result, or None. Call this before finishing a run."""

    def look() -> list[tuple[str, bool]]:
        same = _search(opened, _fingerprint(result))
        others = [run for run in same if PARENT not in run.data.tags and run.data.tags.get(WRITER) != opened.writer]
        return [(run.info.run_id, run.info.status == "FINISHED") for run in others if run.info.status in _ALIVE]

    return wait_for_rival(look, run_id)


def wait_for_rival(look: Callable[[], list[tuple[str, bool]]], own: str) -> str | None:
    """Return the id of what another clone finished first, or None.

    Each clone looks when its own run or model is complete, but not yet marked as finished. The one with the smaller id
    goes first: the other clone waits until it is finished, and then drops its own. A clone that was killed is waited
    for in vain.

    Parameters
    ----------
    look : returns the id of each run or model of another clone, and whether it is finished
    own : id of this clone's
    """
    end = time.monotonic() + PATIENCE
    while True:
        others = look()
        finished = [other for other, is_finished in others if is_finished]
        if finished or all(other > own for other, _ in others) or time.monotonic() > end:
            return finished[0] if finished else None
        time.sleep(_PAUSE)


def remove_own(opened: Store, run_id: str) -> None:
    """Delete a run of this repository, and its children."""
    children = _search(opened, f"tags.`{PARENT}` = '{run_id}'")
    _remove(opened, [opened.client.get_run(run_id), *children])


def _fingerprint(result: Result) -> str:
    return f"tags.`{FINGERPRINT}` = '{result.fingerprint}'"


def remove_unfinished(opened: Store, stage: str, variant: str | None) -> None:
    """Delete this repository's unfinished runs of a stage and variant, whatever their inputs, with their children."""
    name = {"stage": stage} | ({"variant": variant} if variant else {})
    conditions = [
        "attributes.status = 'RUNNING'",
        *(f"tags.{key} = '{value}'" for key, value in name.items()),
    ]
    runs = _search(opened, " and ".join(conditions))
    children = [_search(opened, f"tags.`{PARENT}` = '{run.info.run_id}'") for run in runs]
    _remove(opened, runs + [run for family in children for run in family])


def _search(opened: Store, condition: str) -> list["Run"]:
    """Return the runs that match and are not deleted."""
    return list(opened.client.search_runs([opened.experiment_id], condition))


def _remove(opened: Store, runs: Iterable["Run"]) -> None:
    """Delete the runs that this repository wrote; another machine may still be writing the others."""
    for run_id in {run.info.run_id for run in runs if run.data.tags.get(WRITER) == opened.writer}:
        opened.client.delete_run(run_id)
