"""What `compute.precision: bfloat16` changes: the features, the test accuracies, the seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import side_by_side
from bench.pipeline import Copy

TIMED = ("backbone", "features")
CLEAR = 2.0  # times as long; less may be chance
LAYERS = ("block3_pool", "block4_pool", "block5_pool")  # those that the default pipeline caches


def effect(copy: Copy, weights: Path) -> dict[str, Any]:
    """Compare features of the same weights, then run the pipeline in bfloat16 beside the one in float32.

    Not where the processor has no arithmetic for it: VGG16 would take far too long to learn its characters.
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
    """Say how many times as long as in float32 a convolution's gradient takes in bfloat16."""
    from fitgap.system.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.backbone import weight_sources

    return weight_sources.measure_slowdown("bfloat16")


def _summary(copy: Copy) -> dict[str, Any]:
    models = pd.read_csv(copy.path / "reports/summary.csv").set_index("model")
    chosen = models[models.index.str.match("asis|head@baseline|finetune@")]
    kept = [copy.timing(stage) for stage in TIMED]
    seconds = {stage: one["work_seconds"] for stage, one in zip(TIMED, kept, strict=True)}
    return {"test_accuracy": chosen["test_accuracy_mean"].to_dict(), "work_seconds": seconds}


def relative_differences(weights: Path, images: np.ndarray) -> dict[str, float]:
    """Give the Euclidean distance of the two precisions' features, relative to their length, by layer."""
    from fitgap.system.determinism import start_tensorflow

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
