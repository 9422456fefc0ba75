"""Show a long training in MLflow while it lasts: one run, a step per epoch, deleted when the stage writes its runs."""

import math
import time
from collections.abc import Mapping
from contextlib import suppress

from fitgap.tracking import projection
from fitgap.tracking.runs import WRITER, delete_unfinished
from fitgap.tracking.store import NOTE, Store, StoreError, open_store

AFTER = 60.0  # seconds of training before the run appears; shorter trainings have none
EVERY = 5.0  # seconds from one message to the next, at least
SHARE = 0.05  # of the training's time that messages may take, so a slow store gets few
PATIENCE = 1.0  # seconds that a message waits for other processes
SHOWN = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "seed")  # columns of the history
TEXT = "In training: a step is an epoch, over all repetitions. The model's own runs will replace this one."


class LiveRun:
    """The run of a training that is under way, until it is closed. If the store fails, a later epoch tries again."""

    def __init__(self, stage: str):
        self._stage = stage  # DVC's name, such as scratch@dropout
        self._points: list[tuple[str, float, int]] = []  # metric, value, step: those not sent yet
        self._step = 0
        self._run_id: str | None = None
        self._next = time.monotonic() + AFTER

    def add_epoch(self, row: Mapping[str, float]) -> None:
        """Show an epoch: its row of the history, and the `seed`."""
        self._step += 1
        shown = {**{name: float(row[name]) for name in SHOWN}, "gap": row["val_loss"] - row["train_loss"]}
        self._points += [(name, value, self._step) for name, value in shown.items() if math.isfinite(value)]
        if time.monotonic() >= self._next:
            self._send()

    def _send(self) -> None:
        begin = time.monotonic()
        # The end of the stage reports a store that fails.
        with suppress(StoreError), open_store(PATIENCE) as opened:
            from mlflow.entities import Metric

            self._run_id = self._run_id or self._create(opened)
            now = int(time.time() * 1000)
            opened.client.log_batch(
                self._run_id, [Metric(name, value, now, step) for name, value, step in self._points]
            )
            self._points = []
        end = time.monotonic()
        self._next = end + max(EVERY, (end - begin) / SHARE)

    def _create(self, opened: Store) -> str:
        stage, _, variant = self._stage.partition("@")
        delete_unfinished(opened, stage, variant)
        tags = {"stage": stage, "variant": variant, WRITER: opened.writer, NOTE: TEXT}
        tags |= projection.provenance_tags(stage)
        return opened.client.create_run(opened.experiment_id, None, tags, f"{self._stage} in training").info.run_id

    def close(self) -> None:
        """Delete the run. If that fails it stays unfinished, as after a kill; the stage's end deletes such runs."""
        if self._run_id is not None:
            with suppress(StoreError), open_store(PATIENCE) as opened:
                opened.client.delete_run(self._run_id)
