"""finetune@DEPTH: way 3 of the notes, fine-tune VGG16's layers from DEPTH upwards, starting from a trained head.

reads   params.yaml (seeds, finetune, head, variants.HEAD), data/prepared/, data/backbone/,
        data/features/below_DEPTH.npy, models/head/HEAD/
writes  models/finetune/DEPTH/ (the best seed's unfrozen layers and head), results/finetune/DEPTH/, runs in MLflow
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import train_on_cluster
from fitgap.data.prepared import read_prepared
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.tracking.live import OnEpoch, open_live_run, show_nothing

if TYPE_CHECKING:
    from fitgap.training.experiment import Experiment, Outcome

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
HEADS, MODELS, RESULTS = Path("models/head"), Path("models/finetune"), Path("results/finetune")


def main(name: str) -> None:
    """Train the head and the layers from depth `name` upwards, on activations cached at the freeze point."""
    clock, params = lifecycle.Clock(), load_params()
    with open_checkpoint(f"finetune@{name}") as checkpoint:
        with clock.working():
            train_on_cluster(f"finetune@{name}", params.compute.threads, params.seeds, checkpoint)
        start_tensorflow(0, params.compute.threads)
        with clock.working(), open_live_run(f"finetune@{name}") as live:
            outcome = train(name, params.seeds, checkpoint, live.add_epoch)
        outcome.save_weights(MODELS / name, [outcome.best_seed])
        lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)


def train(name: str, seeds: list[int], checkpoint: Checkpoint, on_epoch: OnEpoch = show_nothing) -> "Outcome":
    """Train these seeds of a depth, here or on a node of a cluster."""
    from fitgap.training.experiment import run_experiment

    return run_experiment(experiment(name), seeds, checkpoint, on_epoch)


@cache
def experiment(name: str) -> "Experiment":
    """Build the experiment once for all seeds: it compiles its network."""
    from fitgap.training.experiment import finetune_experiment

    params, images, backbone = load_params(), read_prepared(PREPARED), read_backbone(BACKBONE)
    features = np.load(FEATURES / f"below_{name}.npy", mmap_mode="r")
    model, heads = params.model("finetune", name), HEADS / params.finetune.head
    return finetune_experiment(params, model, images, backbone, features, heads)


if __name__ == "__main__":
    lifecycle.run(main)
