"""Divide the work of a stage among the nodes: a seed, or a range of images, is a task.

Tasks change where work is done and never its bytes. Ray (https://docs.ray.io) runs a task of a dead node again
elsewhere.
"""

import itertools
import pickle
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fitgap.cluster import connection, sameness
from fitgap.cluster.connection import is_wanted
from fitgap.cluster.node import Order, environment, make_task
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.errors import UserError
from fitgap.system.processor import describe_processor
from fitgap.system.progress import Progress

__all__ = ["Cluster", "compute_outputs", "is_wanted", "train_on_cluster"]

RETRIES = 5  # of a task whose process or node died
CHECK = 30  # seconds after which a look tells whether any node is left


class Evaluator(Protocol):
    """A network that answers in batches."""

    batch_size: int

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return the network's outputs, one row per input."""


class Cluster:
    """The cluster that RAY_ADDRESS names, for one stage.

    Parameters
    ----------
    stage : DVC's name, "scratch@dropout" or "features"
    threads : threads of a task, as in params.yaml
    tensorflow : whether tasks need TensorFlow; those that do get a part of a GPU if the cluster has any

    Raises
    ------
    UserError
        If the cluster does not answer, or has no node large enough.
    """

    def __init__(self, stage: str, threads: int | str, tensorflow: bool = True):
        connection.connect()
        self.processors: list[str] = []
        self._stage, self._tensorflow = stage, tensorflow
        self._share = connection.share(threads, gpus=tensorflow)

    def map(self, function: str, items: Sequence[Any], *arguments: Any) -> Iterator[tuple]:
        """Call a function (MODULE:NAME) with the arguments and each item on the nodes; yield (item, value) unordered.

        Few more tasks are begun than the nodes can hold, so that memory stays bounded.

        Raises
        ------
        UserError
            If a node differs, a task raised one, or a task's process died again and again.
        """
        yield from self._run(self._order(function, arguments, trains=False), items)

    def _run(self, order: Order, items: Sequence[Any]) -> Iterator[tuple]:
        import ray

        sent = order.folder, ray.put(pickle.dumps(order))
        task = ray.remote(make_task()).options(**self._options())
        waiting, begun = iter(items), {}
        while True:
            for item in itertools.islice(waiting, max(0, self._window() - len(begun))):
                begun[task.remote(*sent, pickle.dumps(item))] = item
            if not begun:
                break
            ended, _ = ray.wait(list(begun), timeout=CHECK)
            self._tell_if_alone(ended)
            for reference in ended:
                item = begun.pop(reference)
                yield item, self._value(reference, item)
        self._tell_of_other_processors()

    def train(
        self, function: str, seeds: Sequence[int], kept: Checkpoint, *arguments: Any, last: str = "seed-{seed}"
    ) -> None:
        """Train the seeds on the nodes, and leave each one's work in the checkpoint as soon as it is finished.

        Parameters
        ----------
        function : MODULE:NAME, called with the arguments, [seed] and a checkpoint
        last : name of the last entry that the training of a seed leaves there
        """
        missing = [seed for seed in seeds if kept.load(last.format(seed=seed)) is None]
        order = self._order(function, arguments, trains=True)
        found, bar = self._run(order, missing), f"{self._stage} on {len(connection.nodes())} nodes"
        for seed, files in Progress(found, bar, len(missing), unit="repetitions"):
            ending = f"{last.format(seed=seed)}.npz"
            for name in sorted(files, key=lambda name: (name == ending, name)):
                kept.save_file(name, files[name])

    def _order(self, function: str, arguments: tuple, trains: bool) -> Order:
        return Order(
            stage=self._stage,
            folder=str(Path.cwd()),
            state=sameness.describe_here(self._stage),
            function=function,
            arguments=arguments,
            threads=self._share.cpus if self._tensorflow else None,
            trains=trains,
        )

    def _options(self) -> dict[str, Any]:
        return {
            "num_cpus": self._share.cpus,
            "num_gpus": self._share.gpus,
            "memory": connection.MEMORY,
            "max_retries": RETRIES,
            "scheduling_strategy": "SPREAD",
            "runtime_env": environment(self._share),
            "name": self._stage,
        }

    def _window(self) -> int:
        return max(2, 2 * connection.places(self._share, connection.nodes()))

    def _value(self, reference: Any, item: Any) -> Any:
        import ray
        from ray.exceptions import RayTaskError, WorkerCrashedError

        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            raise error.cause from None
        except (WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.ObjectLostError) as error:
            raise UserError(
                f"{self._stage}: the task {item} was given up after {RETRIES + 1} attempts: its process or its node "
                f"died each time, often for lack of memory ({' '.join(str(error).split())[:200]})"
            ) from None
        if isinstance(answer, str):
            raise UserError(answer)
        self.processors.append(answer.processor)
        return answer.value

    def _tell_if_alone(self, ended: Iterable) -> None:
        if not ended and not connection.places(self._share, connection.nodes()):
            print(f"fitgap: {self._stage}: no node that takes a task is left; waiting for one", file=sys.stderr)

    def _tell_of_other_processors(self) -> None:
        here = describe_processor()
        others = Counter(found for found in self.processors if found != here)
        if others:
            named = ", ".join(f"{count} on {found}" for found, count in others.items())
            print(
                f"fitgap: {self._stage}: {others.total()} of {len(self.processors)} tasks ran on another kind of "
                f"processor than this machine's ({here}): {named}; last digits may differ",
                file=sys.stderr,
            )


def compute_outputs(stage: str, evaluator: Evaluator, inputs: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return a network's outputs for all inputs; batches are divided among the nodes if RAY_ADDRESS names a cluster.

    The stage's module has a function `run(start)`, which returns the outputs of the batch that begins with that row.

    Returns
    -------
    outputs : array, one row per input
    processors : what computed each batch; empty if this machine did
    """
    if not is_wanted():
        return evaluator.outputs(inputs), []
    cluster = Cluster(stage, threads=1)
    found = dict(cluster.map(f"stages.{stage}:run", range(0, len(inputs), evaluator.batch_size)))
    return np.concatenate([found[start] for start in sorted(found)]), cluster.processors


def train_on_cluster(
    stage: str, threads: int | str, seeds: Sequence[int], kept: Checkpoint, last: str = "seed-{seed}"
) -> None:
    """Train a stage's seeds on the cluster, if RAY_ADDRESS names one, and leave them in the checkpoint.

    The stage's module has a function `train(variant, seeds, checkpoint)`, which then finds them there.

    Parameters
    ----------
    stage : DVC's name, such as "scratch@dropout"
    threads : as in params.yaml
    last : name of the last entry that the training of a seed leaves in the checkpoint
    """
    if is_wanted():
        family, _, variant = stage.partition("@")
        Cluster(stage, threads).train("fitgap.lifecycle:train_seeds", seeds, kept, family, variant)
