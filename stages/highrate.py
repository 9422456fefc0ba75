"""highrate@VARIANT: train scratch@VARIANT at a higher learning rate.

reads   params.yaml (seeds, scratch, highrate, variants.VARIANT), data/prepared/
writes  results/highrate/VARIANT/, runs in MLflow; no weights, because these models only test a claim
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap import lifecycle
from fitgap.cluster.work import train_on_cluster
from fitgap.data.prepared import read_prepared
from fitgap.definitions.determinism import start_tensorflow
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.tracking.live import OnEpoch, open_live_run, show_nothing

if TYPE_CHECKING:
    from fitgap.training.experiment import Experiment, Outcome

PREPARED, RESULTS = Path("data/prepared"), Path("results/highrate")


def main(name: str) -> None:
    """Train one network per seed with the remedies of variant `name`, at the higher learning rate."""
    clock, params = lifecycle.Clock(), load_params()
    with open_checkpoint(f"highrate@{name}") as checkpoint:
        with clock.working():
            train_on_cluster(f"highrate@{name}", params.compute.threads, params.seeds, checkpoint)
        start_tensorflow(0, params.compute.threads)
        with clock.working(), open_live_run(f"highrate@{name}") as live:
            outcome = train(name, params.seeds, checkpoint, live.add_epoch)
        lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)


def train(name: str, seeds: list[int], checkpoint: Checkpoint, on_epoch: OnEpoch = show_nothing) -> "Outcome":
    """Train these seeds of a variant, here or on a node of a cluster."""
    from fitgap.training.experiment import run_experiment

    return run_experiment(experiment(name), seeds, checkpoint, on_epoch)


@cache
def experiment(name: str) -> "Experiment":
    """Build the experiment once for all seeds: it compiles its network."""
    from fitgap.training.experiment import scratch_experiment

    params = load_params()
    return scratch_experiment(params, params.model("highrate", name), read_prepared(PREPARED))


if __name__ == "__main__":
    lifecycle.run(main)
