"""Measure the three ways to a classifier at one size of the training set: one point of the learning curve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fitgap.data.draws import count_drawn
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Record, Result, not_applicable
from fitgap.networks.storage import StoredBackbone
from fitgap.params.schema import Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.training.experiment import Experiment, build_experiment
from fitgap.training.trainer import Row

WAYS = ("scratch", "head", "finetune")
MEASURED = ("test_accuracy", "test_loss", "val_accuracy_best", "val_loss_best", "gap_last", "epochs_to_best")


@dataclass(frozen=True)
class Part:
    """A checkpoint's entries of one way, so that seeds of several ways do not mix."""

    checkpoint: Checkpoint
    prefix: str

    def save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Save arrays under a name."""
        self.checkpoint.save(f"{self.prefix}{name}", arrays)

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays saved under a name, or None."""
        return self.checkpoint.load(f"{self.prefix}{name}")


@dataclass(frozen=True)
class CurvePoint:
    """The measurements of a point. `times` is empty: the three ways of a seed are not timed apart."""

    result: Result
    times: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ThreeWays:
    """From scratch, on the frozen base, and fine-tuned: three networks, compiled once for all seeds.

    All three have the variant `finetune.head`, and the same images in the same order.
    """

    params: Params
    size: int  # number of training images
    depth: str  # where fine-tuning begins
    images: PreparedImages
    backbone: StoredBackbone
    features: Path  # the folder data/features/
    heads: dict[int, list[np.ndarray]] = field(default_factory=dict)  # seed -> weights of its trained head

    @cached_property
    def usual_size(self) -> int:
        """The number of training images of all other stages."""
        return count_drawn(self.images, self.params.data)["train"]

    @cached_property
    def resized(self) -> Params:
        """The params of this point."""
        return self.params.with_train_images(self.size, self.usual_size)

    @property
    def seeds(self) -> list[int]:
        """The seeds to train."""
        return self.params.curve_seeds

    @property
    def obstacle(self) -> Result | None:
        """The result if nothing is trained at this size, which says why; None if it is."""
        if self.size != self.usual_size:
            return None
        why = "data.train_images is this size, so the other stages have its models"
        return not_applicable(self._record, why, pd.DataFrame(columns=["train_images", "seed"]))

    def run(self, seeds: list[int], checkpoint: Checkpoint, on_epoch: Callable[[Row], None]) -> CurvePoint:
        """Train the three ways, once per seed.

        A seed's fine-tuning comes last; its entry in the checkpoint, seed-N, says that the seed is finished.
        """
        results = {}
        for way, experiment in self._experiments.items():
            prefix = "" if way == WAYS[-1] else f"{way}-"
            outcome = experiment.run(seeds, Part(checkpoint, prefix), on_epoch)
            if way == "head":
                self.heads.update({seed: r.trained.weights for seed, r in outcome.repetitions.items()})
            results[way] = outcome.result
        return CurvePoint(self._join(results))

    @cached_property
    def _experiments(self) -> dict[str, Experiment]:
        params, images, backbone = self.resized, self.images, self.backbone
        start = params.finetune.head
        on_head, below = (
            np.load(self.features / f"{name}.npy", mmap_mode="r") for name in (params.head.layer, f"below_{self.depth}")
        )
        scratch, head, finetune = (params.model(way, self.depth if way == "finetune" else start) for way in WAYS)
        return {
            "scratch": build_experiment(params, scratch, images, images.images),
            "head": build_experiment(params, head, images, on_head, backbone),
            "finetune": build_experiment(
                params, finetune, images, below, backbone, lambda network, seed: network.set_weights(self.heads[seed])
            ),
        }

    @property
    def _record(self) -> Record:
        return Record(
            stage="learning_curve",
            variant=str(self.size),
            params={**self.resized.model("finetune", self.depth).recorded, "seeds": self.seeds},
            inputs={"data": self.images.identity, "backbone": self.backbone.identity},
            measured={},
            classes=self.images.class_names,
        )

    def _join(self, results: Mapping[str, Result]) -> Result:
        """Join the results of the three ways.

        `history` has one row per seed: train_images, seed, and WAY_MEASUREMENT for each of WAYS and MEASURED.
        `test_probabilities` is float32, (ways, seeds, test images, classes).
        """
        table = pd.concat([results[way].seeds[list(MEASURED)].add_prefix(f"{way}_") for way in WAYS], axis=1)
        table = table.reset_index()
        table.insert(0, "train_images", self.size)
        means = {f"{name}_{way}": float(table[f"{way}_{name}"].mean()) for name in MEASURED for way in WAYS}
        probabilities = np.stack([results[way].test_probabilities for way in WAYS])
        return Result(replace(self._record, measured=means, ways=list(WAYS)), table, probabilities)
