"""finetune@DEPTH: way 3 of the notes, fine-tune VGG16's layers from DEPTH upwards, starting from a trained head.

reads   params.yaml (seeds, finetune, head, variants.HEAD), data/prepared/, data/backbone/,
        data/features/below_DEPTH.npy, models/head/HEAD/, results/head/HEAD/record.json (the head's choice)
writes  models/finetune/DEPTH/ (the best seed's unfrozen layers and head), results/finetune/DEPTH/, runs in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result
from fitgap.data.results import chosen_strengths, weights_file
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.params.schema import NO_CHOICE, Choice

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
HEADS, RESULTS = Path("models/head"), Path("results/head")


def experiment(name: str, choice: Choice = NO_CHOICE) -> "lifecycle.Experiment":
    """Return the experiment of depth `name`: its network sees activations cached at the freeze point."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images, backbone = load_params(), read_prepared(PREPARED), read_backbone(BACKBONE)
    start = chosen_strengths(read_result(RESULTS / params.finetune.head))  # the head keeps its own
    model = params.model("finetune", name, start | choice)
    activations = np.load(FEATURES / f"below_{name}.npy", mmap_mode="r")
    return build_experiment(
        params,
        model,
        images,
        activations,
        backbone,
        start_head=lambda head, seed: head.load_weights(HEADS / params.finetune.head / weights_file(seed)),
    )


if __name__ == "__main__":
    lifecycle.train_stage(experiment, is_contestant=True)
