"""MLflow's client with a time limit, for a store that other people and processes use at the same moment."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fitgap.tracking.failures import failures, is_conflict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

PAUSES = (0.05, 0.2, 0.8)  # seconds before a conflicting call is repeated
QUICK = 0.1  # seconds; a call that takes longer counts as waiting
# Megabytes travel in these calls, so only longer ones count.
BULKY = {"log_artifacts": 2.0, "log_model_artifacts": 5.0}
METRICS_PER_CALL, PARAMS_PER_CALL = 900, 100  # log_batch takes 1000 in all, 100 of them params


class Waiting:
    """How long a process has waited for a store. Quick answers do not count: many of them are work, not an outage.

    Parameters
    ----------
    limit : seconds after which no further call is made
    """

    def __init__(self, limit: float):
        self.limit, self.waited = limit, 0.0

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return max(0.0, self.limit - self.waited)

    def check(self) -> None:
        """Raise TimeoutError after the limit."""
        if self.waited > self.limit:
            raise TimeoutError(f"the tracking store answers too slowly: {self.waited:.0f} s were spent on waiting")

    @contextmanager
    def count(self, quick: float = QUICK) -> Iterator[None]:
        """Add the time spent inside this context, less `quick` seconds."""
        self.check()
        begin = time.monotonic()
        try:
            yield
        finally:
            self.waited += max(0.0, time.monotonic() - begin - quick)


class Client:
    """All methods of MlflowClient; each call counts its time, and is repeated after a conflict.

    Where two processes create the same row at the same moment (a dataset, a tag), MLflow refuses one of them, and
    nothing of its call is kept. The repeated call finds the row.
    """

    def __init__(self, client: "MlflowClient", waiting: Waiting):
        self._client, self._waiting = client, waiting

    def __getattr__(self, name: str) -> Any:
        return self._patient(name, getattr(self._client, name))

    def _patient(self, name: str, method: Callable) -> Callable:
        @functools.wraps(method)
        def call(*args, **kwargs):
            for pause in (*PAUSES, None):
                try:
                    with self._waiting.count(BULKY.get(name, QUICK)):
                        return method(*args, **kwargs)
                except failures() as failure:
                    if pause is None or not is_conflict(failure):
                        raise
                time.sleep(pause)

        return call

    def log_all(self, run_id: str, metrics: Sequence["Metric"], params: Sequence["Param"] = ()) -> None:
        """Log any number of metrics and params."""
        while metrics or params:
            self.log_batch(run_id, metrics[:METRICS_PER_CALL], params[:PARAMS_PER_CALL], synchronous=True)
            metrics, params = metrics[METRICS_PER_CALL:], params[PARAMS_PER_CALL:]

    def create_registered_model(self, name: str, *args, **kwargs):
        """Create a registered model, or return the one that another process has created meanwhile."""
        from mlflow.exceptions import MlflowException

        try:
            return self._patient("create_registered_model", self._client.create_registered_model)(name, *args, **kwargs)
        except MlflowException as failure:
            if failure.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self.get_registered_model(name)
