"""finetune@DEPTH: way 3 of the notes, upper layers unfrozen from DEPTH on, starting from a trained head.

reads   params.yaml (seeds, finetune, head, variants.HEAD), data/prepared/, data/backbone/,
        data/features/below_DEPTH.npy, models/head/HEAD/
leaves  models/finetune/DEPTH/ (the best seed's unfrozen layers and head), results/finetune/DEPTH/, runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import checkpoints, params, stage
from fitgap.backbone import stored
from fitgap.backbone.layers import count_parameters, freeze_point
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.tracking import runs

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
HEADS, MODELS, RESULTS = Path("models/head"), Path("models/finetune"), Path("results/finetune")


def main(depth: str) -> None:
    """Train the layers from `depth` on, and the head, on activations cached at the freeze point."""
    clock, chosen = stage.Clock(), params.load()
    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly
    from fitgap.training import experiment

    images, backbone = prepared.read(PREPARED), stored.read(BACKBONE)
    assembly = Assembly(chosen, len(images.class_names), backbone.weights)
    heads = HEADS / chosen.finetune.head
    described = experiment.Experiment(
        record={
            "stage": "finetune",
            "variant": depth,
            "params": chosen.of_model("finetune", depth),
            "inputs": {"data": images.identity, "backbone": backbone.identity},
            "classes": images.class_names,
        },
        splits=images.with_labels(np.load(FEATURES / f"below_{depth}.npy", mmap_mode="r")),
        build=lambda seed: assembly.finetune(depth, seed, heads / experiment.weights_file(seed)),
        schedule=chosen.finetune,
        learning_rate=chosen.finetune.learning_rate,
        frozen_parameters=count_parameters(freeze_point(depth)),
    )
    with checkpoints.of_stage(f"finetune@{depth}") as kept:
        with clock.working():
            outcome = experiment.run(described, chosen.seeds, kept)
        outcome.leave(MODELS / depth, RESULTS / depth, [outcome.best_seed], clock.spent)
    runs.log(outcome.result)


if __name__ == "__main__":
    stage.run(main)
