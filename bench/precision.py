"""Effect of `compute.precision: bfloat16` on features, test accuracies and times."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import side_by_side
from bench.pipeline import Copy

TIMED = ("backbone", "features")
CLEAR = 2.0  # slowdown factor that counts as clear; smaller ones may be noise
LAYERS = ("block3_pool", "block4_pool", "block5_pool")  # cached by the default pipeline


def effect(copy: Copy, weights: Path) -> dict[str, Any]:
    """Compare features in both precisions, then compare the pipeline in bfloat16 with the one in float32.

    Skip the pipeline on processors without bfloat16 arithmetic, because pre-training VGG16 would take too long there.
    """
    images = np.load(copy.path / "data/prepared/images.npy")
    differences = side_by_side.apart(relative_differences, weights, images)
    if (times := side_by_side.apart(slowdown)) >= CLEAR:
        return {"differences": differences, "slowdown": times}
    before = _summary(copy)
    copy.edit(compute={"precision": "bfloat16"})
    copy.run("dvc", "repro")
    after = _summary(copy)
    copy.edit(compute={"precision": "float32"})
    copy.run("dvc", "repro")
    return {"differences": differences, "float32": before, "bfloat16": after}


def slowdown() -> float:
    """Return the time of a convolution's gradient in bfloat16 relative to float32."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    return _gradient_seconds("bfloat16") / _gradient_seconds("float32")


def _gradient_seconds(precision: str) -> float:
    """Time the gradient of VGG16's second convolution, on eight 32x32 images: best of two after a warm-up."""
    import tensorflow as tf

    maps, kernel = (tf.ones(shape, precision) for shape in ((8, 32, 32, 64), (3, 3, 64, 64)))
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=maps.shape, filter=kernel, out_backprop=maps, strides=[1] * 4, padding="SAME"
        ).numpy()
        taken.append(time.perf_counter() - begin)
    return min(taken[1:])


def _summary(copy: Copy) -> dict[str, Any]:
    models = pd.read_csv(copy.path / "reports/summary.csv").set_index("model")
    chosen = models[models.index.str.match("asis|head@baseline|finetune@")]
    kept = [copy.timing(stage) for stage in TIMED]
    seconds = {stage: one["work_seconds"] for stage, one in zip(TIMED, kept, strict=True)}
    return {"test_accuracy": chosen["test_accuracy_mean"].to_dict(), "work_seconds": seconds}


def relative_differences(weights: Path, images: np.ndarray) -> dict[str, float]:
    """Return the Euclidean distance between both precisions' features, relative to the float32 norm, by layer."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.backbone import features

    found: dict[str, float] = {}
    forwards = [
        features.compile_frozen_base(weights, images.shape[1], LAYERS, name) for name in ("float32", "bfloat16")
    ]
    exact, rounded = (forward(images[:500]) for forward in forwards)
    for layer in LAYERS:
        one, other = exact[layer].numpy(), rounded[layer].numpy()
        found[layer] = float(np.linalg.norm(one - other) / np.linalg.norm(one))
    return found
