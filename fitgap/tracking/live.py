"""Show a long training in MLflow while it lasts: one run, a step per epoch, deleted when the stage writes its runs."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fitgap.tracking import projection, store
from fitgap.tracking.client import Waiting
from fitgap.tracking.existing import WRITER, remove_unfinished
from fitgap.tracking.failures import failures
from fitgap.tracking.store import NOTE, Store

AFTER = 60.0  # seconds of training before the run appears; shorter trainings have none
EVERY = 5.0  # seconds from one message to the next, at least
SHARE = 0.05  # of the training's time that messages may take, so a slow store gets few
LIMIT = 1.0  # seconds that a message may wait for the store before it is given up
SHOWN = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")  # columns of the history
TEXT = "In training: a step is an epoch, over all repetitions. The model's own runs will replace this one."
OnEpoch = Callable[[Mapping[str, float]], None]  # called with an epoch's row of the history and its seed


class LiveRun:
    """The run of a training that is under way. If the store fails, the training goes on, and a later epoch tries again.

    Parameters
    ----------
    stage : DVC's name, such as scratch@dropout
    """

    def __init__(self, stage: str):
        self._stage = stage
        self._pending: list[Mapping[str, float]] = []
        self._steps = 0
        self._run_id: str | None = None
        self._next = time.monotonic() + AFTER

    def add_epoch(self, row: Mapping[str, float]) -> None:
        """Show an epoch: its row of the history, and the `seed`."""
        self._pending.append(row)
        if time.monotonic() >= self._next:
            self._send()

    def _send(self) -> None:
        begin = time.monotonic()
        try:
            with store.open_store(waiting=Waiting(LIMIT)) as opened:
                self._run_id = self._run_id or self._create(opened)
                self._log(opened, self._run_id)
        except failures():
            pass  # the end of the stage reports a store that fails
        end = time.monotonic()
        self._next = end + max(EVERY, (end - begin) / SHARE)

    def _create(self, opened: Store) -> str:
        stage, _, variant = self._stage.partition("@")
        remove_unfinished(opened, stage, variant)
        tags = {"stage": stage, "variant": variant, WRITER: opened.writer, NOTE: TEXT}
        tags |= projection.provenance_tags(stage)
        return opened.client.create_run(opened.experiment_id, None, tags, f"{self._stage} in training").info.run_id

    def _log(self, opened: Store, run_id: str) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        shown = [(step, *one) for step, row in enumerate(self._pending, self._steps + 1) for one in _shown(row).items()]
        metrics = [Metric(name, value, now, step) for step, name, value in shown if math.isfinite(value)]
        opened.client.log_all(run_id, metrics)
        self._steps, self._pending = self._steps + len(self._pending), []

    def close(self) -> None:
        """Delete the run."""
        if self._run_id is None:
            return
        try:
            with store.open_store(waiting=Waiting(LIMIT)) as opened:
                opened.client.delete_run(self._run_id)
        except failures():
            pass  # it stays unfinished, as after a kill; the stage's end deletes such runs


def show_nothing(row: Mapping[str, float]) -> None:
    """Take the place of `LiveRun.add_epoch` where nobody looks, such as on a node of a cluster."""


@contextmanager
def open_live_run(stage: str) -> Iterator[LiveRun]:
    """Open the live run of a stage, and delete it at the end, also if the stage fails."""
    run = LiveRun(stage)
    try:
        yield run
    finally:
        run.close()


def _shown(row: Mapping[str, float]) -> dict[str, float]:
    gap = row["val_loss"] - row["train_loss"]
    return {**{name: float(row[name]) for name in SHOWN}, "gap": gap, "seed": row["seed"]}
