"""head@VARIANT: way 2 of the notes, train a new classifier on the frozen base's cached features.

reads   params.yaml (seeds, head, variants.VARIANT), data/prepared/, data/features/LAYER.npy,
        data/backbone/backbone.json (the base's identity)
writes  models/head/VARIANT/ (every seed's weights; fine-tuning starts from them), results/head/VARIANT/,
        runs in MLflow
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import train_on_cluster
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.tracking.live import OnEpoch, open_live_run, show_nothing

if TYPE_CHECKING:
    from fitgap.training.experiment import Experiment, Outcome

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
MODELS, RESULTS = Path("models/head"), Path("results/head")


def main(name: str) -> None:
    """Train one classifier per seed with the remedies of variant `name`; VGG16 itself is not run."""
    clock, params = lifecycle.Clock(), load_params()
    model = params.model("head", name)
    if model.obstacle:
        inputs = {"data": read_prepared(PREPARED).identity, "backbone": read_backbone(BACKBONE).identity}
        record = Record("head", name, model.recorded, inputs, measured={})
        lifecycle.finish_without_model(record, model.obstacle, clock, MODELS / name, RESULTS / name)
        return
    with open_checkpoint(f"head@{name}") as checkpoint:
        with clock.working():
            train_on_cluster(f"head@{name}", params.compute.threads, params.seeds, checkpoint)
        start_tensorflow(0, params.compute.threads)
        with clock.working(), open_live_run(f"head@{name}") as live:
            outcome = train(name, params.seeds, checkpoint, live.add_epoch)
        outcome.save_weights(MODELS / name, params.seeds)
        lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)


def train(name: str, seeds: list[int], checkpoint: Checkpoint, on_epoch: OnEpoch = show_nothing) -> "Outcome":
    """Train these seeds of a variant, here or on a node of a cluster."""
    from fitgap.training.experiment import run_experiment

    return run_experiment(experiment(name), seeds, checkpoint, on_epoch)


@cache
def experiment(name: str) -> "Experiment":
    """Build the experiment once for all seeds: it compiles its network."""
    from fitgap.training.experiment import head_experiment

    params, images, backbone = load_params(), read_prepared(PREPARED), read_backbone(BACKBONE)
    features = np.load(FEATURES / f"{params.head.layer}.npy", mmap_mode="r")
    return head_experiment(params, params.model("head", name), images, backbone, features)


if __name__ == "__main__":
    lifecycle.run(main)
