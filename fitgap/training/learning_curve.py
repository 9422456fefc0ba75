"""Measure the three ways to a classifier at one size of the training set: one point of the learning curve."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fitgap.backbone.storage import StoredBackbone
from fitgap.images.prepared import PreparedImages
from fitgap.params.schema import Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.pipeline.record import Record, Result
from fitgap.training.experiment import finetune_experiment, head_experiment, run_experiment, scratch_experiment

WAYS = ("scratch", "head", "finetune")
MEASURED = ("test_accuracy", "test_loss", "val_accuracy_best", "val_loss_best", "gap_last", "epochs_to_best")


@dataclass(frozen=True)
class Part:
    """A checkpoint's entries of one way, so that seeds of several ways do not mix."""

    checkpoint: Checkpoint
    way: str

    def save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Save arrays under a name."""
        self.checkpoint.save(f"{self.way}-{name}", arrays)

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays saved under a name, or None."""
        return self.checkpoint.load(f"{self.way}-{name}")


def measure_size(
    record: Record,
    params: Params,
    depth: str,
    images: PreparedImages,
    backbone: StoredBackbone,
    features: Path,
    kept: Checkpoint,
) -> Result:
    """Train from scratch, on the frozen base, and fine-tuned from `depth`, once per seed of `params.curve_seeds`.

    All three have the variant `finetune.head`, and the same images in the same order.

    Parameters
    ----------
    record : Record
        Without measurements.
    params : Params
        With the size of the training set, from `Params.with_train_images`.
    features : Path
        The folder data/features/.

    Returns
    -------
    Result
        `history` has one row per seed: train_images, seed, and WAY_MEASUREMENT for each of WAYS and MEASURED.
        `test_probabilities` is float32, (ways, seeds, test images, classes).
    """
    start, heads = params.finetune.head, kept.folder / "heads"
    models = {way: params.model(way, depth if way == "finetune" else start) for way in WAYS}
    on_head, below = (
        np.load(features / f"{name}.npy", mmap_mode="r") for name in (params.head.layer, f"below_{depth}")
    )
    builds = {
        "scratch": lambda: scratch_experiment(params, models["scratch"], images),
        "head": lambda: head_experiment(params, models["head"], images, backbone, on_head),
        "finetune": lambda: finetune_experiment(params, models["finetune"], images, backbone, below, heads),
    }
    results = {}
    for way in WAYS:
        outcome = run_experiment(builds[way](), params.curve_seeds, Part(kept, way))
        if way == "head":
            outcome.save_weights(heads, params.curve_seeds)
        results[way] = outcome.result
    table = pd.concat([results[way].seeds[list(MEASURED)].add_prefix(f"{way}_") for way in WAYS], axis=1)
    table = table.reset_index()
    table.insert(0, "train_images", params.data.train_images)
    means = {f"{name}_{way}": float(table[f"{way}_{name}"].mean()) for name in MEASURED for way in WAYS}
    probabilities = np.stack([results[way].test_probabilities for way in WAYS])
    return Result(replace(record, measured=means, ways=list(WAYS)), table, probabilities)
