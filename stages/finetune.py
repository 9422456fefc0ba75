"""finetune@DEPTH: way 3 of the notes, fine-tune VGG16's layers from DEPTH upwards, starting from a trained head.

reads   params.yaml (seeds, finetune, head, variants.HEAD), data/prepared/, data/backbone/,
        data/features/below_DEPTH.npy, models/head/HEAD/
writes  models/finetune/DEPTH/ (the best seed's unfrozen layers and head), results/finetune/DEPTH/, runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.data.results import weights_file
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
HEADS = Path("models/head")


def experiment(name: str) -> "lifecycle.Experiment":
    """Return the experiment of depth `name`: its network sees activations cached at the freeze point."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images, backbone = load_params(), read_prepared(PREPARED), read_backbone(BACKBONE)
    activations = np.load(FEATURES / f"below_{name}.npy", mmap_mode="r")
    return build_experiment(
        params,
        params.model("finetune", name),
        images,
        activations,
        backbone,
        start_head=lambda head, seed: head.load_weights(HEADS / params.finetune.head / weights_file(seed)),
    )


if __name__ == "__main__":
    lifecycle.train_stage(experiment, weights="best seed")
