"""scratch@VARIANT: train the notes' convolutional network from random weights.

reads   params.yaml (seeds, scratch, variants.VARIANT), data/prepared/
writes  models/scratch/VARIANT/ (the best seed's weights), results/scratch/VARIANT/, runs in MLflow
"""

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap import lifecycle
from fitgap.cluster.work import train_on_cluster
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record
from fitgap.definitions.determinism import start_tensorflow
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.tracking.live import OnEpoch, open_live_run, show_nothing
from fitgap.tracking.models import log_model

if TYPE_CHECKING:
    from fitgap.training.experiment import Experiment, Outcome

PREPARED, MODELS, RESULTS = Path("data/prepared"), Path("models/scratch"), Path("results/scratch")


def main(name: str) -> None:
    """Train one network per seed with the remedies of variant `name`."""
    clock, params = lifecycle.Clock(), load_params()
    model, images = params.model("scratch", name), read_prepared(PREPARED)
    if model.obstacle:
        record = Record("scratch", name, model.recorded, {"data": images.identity}, measured={})
        lifecycle.finish_without_model(record, model.obstacle, clock, MODELS / name, RESULTS / name)
        return
    with open_checkpoint(f"scratch@{name}") as checkpoint:
        with clock.working():
            train_on_cluster(f"scratch@{name}", params.compute.threads, params.seeds, checkpoint)
        start_tensorflow(0, params.compute.threads)
        with clock.working(), open_live_run(f"scratch@{name}") as live:
            outcome = train(name, params.seeds, checkpoint, live.add_epoch)
        outcome.save_weights(MODELS / name, [outcome.best_seed])
        run = lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)
    from fitgap.networks.architectures import build_whole

    whole = partial(build_whole, outcome.network_of(outcome.best_seed), params.data.image_size)
    log_model(run, whole, images.class_names)


def train(name: str, seeds: list[int], checkpoint: Checkpoint, on_epoch: OnEpoch = show_nothing) -> "Outcome":
    """Train these seeds of a variant, here or on a node of a cluster."""
    from fitgap.training.experiment import run_experiment

    return run_experiment(experiment(name), seeds, checkpoint, on_epoch)


@cache
def experiment(name: str) -> "Experiment":
    """Build the experiment once for all seeds: it compiles its network."""
    from fitgap.training.experiment import scratch_experiment

    params = load_params()
    return scratch_experiment(params, params.model("scratch", name), read_prepared(PREPARED))


if __name__ == "__main__":
    lifecycle.run(main)
