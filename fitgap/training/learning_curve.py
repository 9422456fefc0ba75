"""Train the best from scratch and the best that borrows at one size of the training set: a point of the learning curve.

The recipe of a model is the same at every size: the same batch, and at least as many epochs and updates as at the usual
size. A small training set is passed over several times in what counts as an epoch, and measured after each epoch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from fitgap.data.as_trained import model_as_trained
from fitgap.data.draws import count_drawn
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Record, Result, not_applicable
from fitgap.networks.storage import StoredBackbone
from fitgap.params.schema import Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.training.experiment import Experiment, Outcome, build_experiment
from fitgap.training.trainer import Row

MEASURED = ("test_accuracy", "test_loss", "val_accuracy_best", "val_loss_best", "gap_last", "epochs_to_best", "updates")


@dataclass(frozen=True)
class BothWays:
    """The models that the stage `choice` has chosen, from scratch and borrowed, with another number of training images.

    A fine-tuned model comes after its head. All see the same images in the same order.
    """

    params: Params
    size: int  # number of training images
    choice: Record  # of the stage `choice`
    images: PreparedImages
    backbone: StoredBackbone
    features: Path  # the folder data/features/
    heads: dict[int, list[np.ndarray]] = field(default_factory=dict)  # seed -> weights of its trained head

    @cached_property
    def usual_size(self) -> int:
        """The number of training images of all other stages."""
        return count_drawn(self.images, self.params.data)["train"]

    @property
    def seeds(self) -> list[int]:
        """The seeds to train."""
        return self.params.curve_seeds

    @property
    def obstacle(self) -> Result | None:
        """The result if nothing is trained at this size, which says why; None if it is."""
        why = self.choice.not_applicable
        if self.size == self.usual_size:
            why = "data.train_images is this size, so the other stages have its models"
        return not_applicable(self._record, why, pd.DataFrame(columns=["train_images", "seed"])) if why else None

    def run(
        self, seeds: list[int], checkpoint: Checkpoint, on_epoch: Callable[[Row], None] = lambda row: None
    ) -> Outcome:
        """Train both ways, once per seed; the two ways of a seed are not timed apart.

        A seed's last training leaves the entry seed-N in the checkpoint, which says that the seed is finished.
        """
        results, last = {}, list(self._experiments)[-1]
        for (way, family), experiment in self._experiments.items():
            prefix = "" if (way, family) == last else f"{way}-{family}-"
            outcome = experiment.run(seeds, checkpoint, on_epoch, prefix)
            if family == "head":
                self.heads.update({seed: trained.weights for seed, trained in outcome.repetitions.items()})
            results[way] = outcome.result
        return Outcome(self._join(results))

    @cached_property
    def _experiments(self) -> dict[tuple[str, str], Experiment]:
        """The trainings by way and family, in their order."""
        return {
            (way, record["stage"]): self._experiment(Record(**record))
            for way, records in self.choice.contestants.items()
            for record in records
        }

    def _experiment(self, record: Record) -> Experiment:
        params = self.params.with_train_images(self.size)
        model = model_as_trained(record)
        model = replace(model, passes=count_passes(self.size, self.usual_size, model.schedule.batch_size))
        if record.stage == "scratch":
            return build_experiment(params, model, self.images, self.images.images)
        layer = f"below_{model.name}" if record.stage == "finetune" else f"cells/{model.head.layer}"
        features = np.load(self.features / f"{layer}.npy", mmap_mode="r")
        return build_experiment(params, model, self.images, features, self.backbone, self._start_head)

    def _start_head(self, head: keras.Model, seed: int) -> None:
        head.set_weights(self.heads[seed])

    @property
    def _record(self) -> Record:
        names = {way: Record(**records[-1]).name for way, records in (self.choice.contestants or {}).items()}
        return Record(
            stage="learning_curve",
            variant=str(self.size),
            params={**self.params.with_train_images(self.size).data.drawn, **names, "seeds": self.seeds},
            inputs={"data": self.images.identity, "backbone": self.backbone.identity},
            measured={},
            classes=self.images.class_names,
        )

    def _join(self, results: Mapping[str, Result]) -> Result:
        """Join the results of the ways.

        `history` has one row per seed: train_images, seed, and WAY_MEASUREMENT for each way and each of MEASURED.
        `test_probabilities` is float32, (ways, seeds, test images, classes).
        """
        parts = [result.seeds[list(MEASURED)].add_prefix(f"{way}_") for way, result in results.items()]
        table = pd.concat(parts, axis=1).reset_index()
        table.insert(0, "train_images", self.size)
        means = {f"{name}_{way}": float(table[f"{way}_{name}"].mean()) for name in MEASURED for way in results}
        probabilities = np.stack([result.test_probabilities for result in results.values()])
        return Result(replace(self._record, measured=means, ways=list(results)), table, probabilities)


def count_passes(size: int, usual: int, batch: int) -> int:
    """Return how many passes over `size` images make at least as many updates as one pass over `usual` images."""
    return math.ceil(math.ceil(usual / batch) / math.ceil(size / batch))
