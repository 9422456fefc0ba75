"""Divide the work of a stage among the nodes: a seed, or a range of images, is a task.

Tasks change where work is done and never its bytes. Ray (https://docs.ray.io) runs a task of a dead node again
elsewhere.
"""

import itertools
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fitgap.cluster import connection
from fitgap.cluster.connection import is_wanted
from fitgap.cluster.node import Order, carry_out, describe, environment
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.errors import UserError
from fitgap.system.processor import describe_processor
from fitgap.system.progress import Progress

RETRIES = 5  # of a task whose process or node died
CHECK = 30  # seconds after which a look tells whether any node is left


class Cluster:
    """The cluster that RAY_ADDRESS names, for one stage.

    Parameters
    ----------
    stage : DVC's name, "scratch@dropout" or "features"
    threads : threads of a task, as in params.yaml
    """

    def __init__(self, stage: str, threads: int | str):
        connection.connect()
        self.processors: list[str] = []  # what computed each task
        self._stage, self._share = stage, connection.share(threads)

    def map(self, function: str, items: Sequence[Any], *arguments: Any, trains: bool = False) -> Iterator[tuple]:
        """Call a function (MODULE:NAME) with the arguments and each item on the nodes; yield (item, value) unordered.

        Few more tasks are begun than the nodes can hold, so that memory stays bounded. If the function `trains` seeds,
        the items, it does so into a checkpoint, and values are name -> content of its files.
        """
        import ray

        state, threads = describe(self._stage), self._share.cpus
        order = Order(str(Path.cwd()), self._stage, state, function, threads, arguments, trains)
        task = ray.remote(carry_out).options(
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            memory=connection.MEMORY,
            max_retries=RETRIES,
            scheduling_strategy="SPREAD",
            runtime_env=environment(self._share),
        )
        sent, waiting, begun = ray.put(pickle.dumps(order)), iter(items), {}
        while True:
            window = max(2, 2 * connection.places(self._share))
            for item in itertools.islice(waiting, max(0, window - len(begun))):
                begun[task.remote(sent, item)] = item
            if not begun:
                break
            ended, _ = ray.wait(list(begun), timeout=CHECK)
            if not ended and not connection.places(self._share):
                print(f"fitgap: {self._stage}: no node that takes a task is left; waiting for one", file=sys.stderr)
            for reference in ended:
                item = begun.pop(reference)
                yield item, self._value(reference, item)
        if others := set(self.processors) - {describe_processor()}:
            kinds = f"another kind of processor than this machine's: {', '.join(sorted(others))}"
            print(f"fitgap: {self._stage}: some tasks ran on {kinds}; last digits may differ", file=sys.stderr)

    def _value(self, reference: Any, item: Any) -> Any:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            value, processor = ray.get(reference)
        except RayTaskError as error:
            if "No module named 'fitgap'" in str(error):
                why = f"{self._stage}: a node has no repository at {Path.cwd()}: every node needs it at this path"
                raise UserError(why) from None
            raise error.cause from None
        except RayError as error:
            raise UserError(
                f"{self._stage}: the task {item} was given up after {RETRIES + 1} attempts, often for lack of memory: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
        self.processors.append(processor)
        return value


class Batches:
    """The batches of a stage's images: computed here, or on the nodes if RAY_ADDRESS names a cluster.

    Parameters
    ----------
    stage : its module has the function `run`, which a node calls
    run : takes the row that a batch begins with; returns what is computed for it
    """

    def __init__(self, stage: str, run: Callable[[int], Any]):
        self._stage, self._run = stage, run
        self._cluster = Cluster(stage, threads=1) if is_wanted() else None

    @property
    def processors(self) -> list[str]:
        """What computed each batch; empty if this machine did."""
        return self._cluster.processors if self._cluster else []

    def map(self, starts: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield the first row of each batch, and what was computed for it; on a cluster in any order."""
        if self._cluster:
            return self._cluster.map(f"stages.{self._stage}:run", starts)
        return ((start, self._run(start)) for start in starts)


def train_on_cluster(
    stage: str, threads: int | str, seeds: Sequence[int], checkpoint: Checkpoint, choice: Mapping[str, Any]
) -> None:
    """Train a stage's seeds on the cluster, if RAY_ADDRESS names one; leave each in the checkpoint when it is finished.

    The entry seed-N is the last one that the training of seed N leaves there.

    Parameters
    ----------
    stage : DVC's name, such as "scratch@dropout"
    threads : as in params.yaml
    choice : key -> value, where the model has candidates; its trials ran here
    """
    if not is_wanted():
        return
    family, _, variant = stage.partition("@")
    missing = [seed for seed in seeds if checkpoint.load(f"seed-{seed}") is None]
    results = Cluster(stage, threads).map("fitgap.lifecycle:train_seeds", missing, family, variant, choice, trains=True)
    for seed, files in Progress(results, f"{stage} on {len(connection.nodes())} nodes", len(missing), unit="seeds"):
        ending = f"seed-{seed}.pickle"
        for name in sorted(files, key=lambda name: (name == ending, name)):
            checkpoint.save_file(name, files[name])
