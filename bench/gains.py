"""What fitgap's own measures gain: hand-written kernels, and oneDNN on every processor."""

import os
from functools import partial
from pathlib import Path
from typing import Any

from bench.race import OURS, Make, Pass, race
from bench.trainings import CLASSES, large, ours, train_network
from fitgap.params.reading import load_params
from fitgap.params.sections import Training

PRETRAINED = {"train_images": 320, "validation_images": 32}  # ten updates of VGG16's pre-training


def measure(_folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure updates with and without each of them; "seconds" are those of the updates alone."""
    params = load_params()
    baseline = partial(ours, large(params), "scratch", "baseline")
    of_kernels = {
        "VGG16's pre-training": pretraining,
        "`finetune@block5`": partial(ours, params, "finetune", "block5"),
        "`scratch@batchnorm`": partial(ours, params, "scratch", "batchnorm"),
    }
    pairs = {f"hand-written kernels: {name}": (make, partial(make, fast=False)) for name, make in of_kernels.items()}
    pairs["oneDNN: `scratch@baseline`, `make notes`"] = baseline, partial(without_onednn, baseline)
    races = {what: race({OURS: make, "without": other}, rounds, what) for what, (make, other) in pairs.items()}
    return [{"what": what, "rows": [row | {"seconds": row["updates"]} for row in rows]} for what, rows in races.items()]


def without_onednn(make: Make) -> Pass:
    """Let TensorFlow compute without oneDNN in this process."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    return make()


def pretraining(fast: bool = True) -> Pass:
    """Make updates of VGG16's pre-training on random images."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.networks.batch_normalised import build_batch_normalised

    params = load_params()
    few = params.model_copy(update={"data": params.data.model_copy(update=PRETRAINED)})
    schedule = Training(epochs=1, batch_size=params.backbone.glyphs.batch_size, learning_rate=1e-3)
    build = partial(build_batch_normalised, params.data.image_size, CLASSES, seed=0)
    return train_network(few, build, schedule, fast=fast)
