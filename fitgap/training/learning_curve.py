"""Measure the three ways to a classifier at one size of the training set: one point of the learning curve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Record, Result
from fitgap.networks.storage import StoredBackbone
from fitgap.params.schema import Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.training.experiment import (
    Experiment,
    finetune_experiment,
    head_experiment,
    run_experiment,
    scratch_experiment,
)
from fitgap.training.trainer import Row

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


@dataclass(frozen=True)
class ThreeWays:
    """From scratch, on the frozen base, and fine-tuned: three networks, compiled once for all seeds.

    All three have the variant `finetune.head`, and the same images in the same order.

    Attributes
    ----------
    params : Params
        With the size of the training set, from `Params.with_train_images`.
    depth : str
        Where fine-tuning begins.
    features : Path
        The folder data/features/.
    heads : Path
        Folder of the trained heads, which fine-tuning starts from.
    """

    params: Params
    depth: str
    images: PreparedImages
    backbone: StoredBackbone
    features: Path
    heads: Path

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """The experiment of each of `WAYS`."""
        params, images, backbone = self.params, self.images, self.backbone
        start = params.finetune.head
        on_head, below = (
            np.load(self.features / f"{name}.npy", mmap_mode="r") for name in (params.head.layer, f"below_{self.depth}")
        )
        models = {way: params.model(way, self.depth if way == "finetune" else start) for way in WAYS}
        return {
            "scratch": scratch_experiment(params, models["scratch"], images),
            "head": head_experiment(params, models["head"], images, backbone, on_head),
            "finetune": finetune_experiment(params, models["finetune"], images, backbone, below, self.heads),
        }

    def train(self, seeds: list[int], kept: Checkpoint, on_epoch: Callable[[Row], None]) -> dict[str, Result]:
        """Train the three ways, once per seed; a seed's fine-tuning comes last."""
        results = {}
        for way, experiment in self.experiments.items():
            outcome = run_experiment(experiment, seeds, Part(kept, way), on_epoch)
            if way == "head":
                outcome.save_weights(self.heads, seeds)
            results[way] = outcome.result
        return results


def summarise(record: Record, train_images: int, results: Mapping[str, Result]) -> Result:
    """Join the results of the three ways.

    Parameters
    ----------
    record : Record
        Without measurements.
    train_images : int
        The size of the training set.

    Returns
    -------
    Result
        `history` has one row per seed: train_images, seed, and WAY_MEASUREMENT for each of WAYS and MEASURED.
        `test_probabilities` is float32, (ways, seeds, test images, classes).
    """
    table = pd.concat([results[way].seeds[list(MEASURED)].add_prefix(f"{way}_") for way in WAYS], axis=1)
    table = table.reset_index()
    table.insert(0, "train_images", train_images)
    means = {f"{name}_{way}": float(table[f"{way}_{name}"].mean()) for name in MEASURED for way in WAYS}
    probabilities = np.stack([results[way].test_probabilities for way in WAYS])
    return Result(replace(record, measured=means, ways=list(WAYS)), table, probabilities)
