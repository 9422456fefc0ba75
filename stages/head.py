"""head@VARIANT: way 2 of the notes, train a new classifier on the frozen base's cached features.

reads   params.yaml (seeds, head, variants.VARIANT), data/prepared/, data/features/LAYER.npy,
        data/backbone/backbone.json (the base's identity)
writes  models/head/VARIANT/ (every seed's weights; fine-tuning starts from them), results/head/VARIANT/,
        runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import lifecycle
from fitgap.backbone.storage import read_backbone
from fitgap.images.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.pipeline.record import Record
from fitgap.system.determinism import start_tensorflow

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
MODELS, RESULTS = Path("models/head"), Path("results/head")


def main(name: str) -> None:
    """Train one classifier per seed with the remedies of variant `name`; VGG16 itself is not run."""
    clock, params = lifecycle.Clock(), load_params()
    model = params.model("head", name)
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    if model.obstacle:
        inputs = {"data": images.identity, "backbone": backbone.identity}
        record = Record("head", name, model.recorded, inputs, measured={})
        lifecycle.finish_without_model(record, model.obstacle, clock, MODELS / name, RESULTS / name)
        return
    start_tensorflow(0, params.compute.threads)
    from fitgap.training.experiment import head_experiment, run_experiment

    features = np.load(FEATURES / f"{params.head.layer}.npy", mmap_mode="r")
    experiment = head_experiment(params, model, images, backbone, features)
    with open_checkpoint(f"head@{name}") as checkpoint:
        with clock.working():
            outcome = run_experiment(experiment, params.seeds, checkpoint)
        outcome.save_weights(MODELS / name, params.seeds)
        lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)


if __name__ == "__main__":
    lifecycle.run(main)
