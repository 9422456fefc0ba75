"""finetune@DEPTH: way 3 of the notes, fine-tune VGG16's layers from DEPTH upwards, starting from a trained head.

reads   params.yaml (seeds, finetune, head, variants.HEAD), data/prepared/, data/backbone/,
        data/features/below_DEPTH.npy, models/head/HEAD/
writes  models/finetune/DEPTH/ (the best seed's unfrozen layers and head), results/finetune/DEPTH/, runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import lifecycle
from fitgap.backbone.storage import read_backbone
from fitgap.images.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.system.determinism import start_tensorflow

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
HEADS, MODELS, RESULTS = Path("models/head"), Path("models/finetune"), Path("results/finetune")


def main(depth: str) -> None:
    """Train the head and the layers from `depth` upwards, on activations cached at the freeze point."""
    clock, params = lifecycle.Clock(), load_params()
    model = params.model("finetune", depth)
    start_tensorflow(0, params.compute.threads)
    from fitgap.training.experiment import finetune_experiment, run_experiment

    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    features = np.load(FEATURES / f"below_{depth}.npy", mmap_mode="r")
    experiment = finetune_experiment(params, model, images, backbone, features, HEADS / params.finetune.head)
    with open_checkpoint(f"finetune@{depth}") as checkpoint:
        with clock.working():
            outcome = run_experiment(experiment, params.seeds, checkpoint)
        outcome.save_weights(MODELS / depth, [outcome.best_seed])
        lifecycle.finish(outcome.result, clock, RESULTS / depth, **outcome.times)


if __name__ == "__main__":
    lifecycle.run(main)
