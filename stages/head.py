"""head@VARIANT: way 2 of the notes, a new classifier on the frozen base's cached features.

reads   params.yaml (seeds, head, variants.VARIANT), data/prepared/, data/features/LAYER.npy,
        data/backbone/backbone.json (which base that was)
leaves  models/head/VARIANT/ (every seed's weights; fine-tuning starts from them), results/head/VARIANT/,
        runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import checkpoints, params, stage
from fitgap.backbone import stored
from fitgap.backbone.layers import count_parameters
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.tracking import runs

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
MODELS, RESULTS = Path("models/head"), Path("results/head")


def main(variant: str) -> None:
    """Train one classifier per seed with the remedies of `variant`; VGG16 itself is not run."""
    clock, chosen = stage.Clock(), params.load()
    chosen.variant(variant)
    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly
    from fitgap.training import experiment

    images, backbone = prepared.read(PREPARED), stored.read(BACKBONE)
    assembly = Assembly(chosen, len(images.class_names))
    described = experiment.Experiment(
        record={
            "stage": "head",
            "variant": variant,
            "params": chosen.of_model("head", variant),
            "inputs": {"data": images.identity, "backbone": backbone.identity},
            "classes": images.class_names,
        },
        splits=images.with_labels(np.load(FEATURES / f"{chosen.head.layer}.npy", mmap_mode="r")),
        build=lambda seed: assembly.head(variant, seed),
        schedule=chosen.head,
        learning_rate=chosen.learning_rate("head", variant),
        frozen_parameters=count_parameters(chosen.head.layer),
    )
    with checkpoints.of_stage(f"head@{variant}") as kept:
        with clock.working():
            outcome = experiment.run(described, chosen.seeds, kept)
        outcome.leave(MODELS / variant, RESULTS / variant, chosen.seeds, clock.spent)
    runs.log(outcome.result)


if __name__ == "__main__":
    stage.run(main)
