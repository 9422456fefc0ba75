"""head@VARIANT: way 2 of the notes, train a new classifier on the frozen base's cached features.

reads   params.yaml (seeds, head, variants.VARIANT), data/prepared/, data/features/cells/,
        data/backbone/backbone.json (the base's identity)
writes  models/head/VARIANT/ (the best seed's weights; every seed's if fine-tuning starts from them),
        results/head/VARIANT/, runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.params.schema import NO_CHOICE, Choice

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features/cells")


def experiment(name: str, choice: Choice = NO_CHOICE) -> "lifecycle.Experiment":
    """Return the experiment of variant `name`: its network sees features; VGG16 itself is not run."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images, backbone = load_params(), read_prepared(PREPARED), read_backbone(BACKBONE)
    model = params.model("head", name, choice)
    features = np.load(FEATURES / f"{model.head.layer}.npy", mmap_mode="r")
    return build_experiment(params, model, images, features, backbone)


if __name__ == "__main__":
    lifecycle.train_stage(experiment, is_contestant=True)
