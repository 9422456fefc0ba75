"""Train one model of the comparison once per seed, and measure every seed the same way."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from fitgap.data.draws import Examples, draw_rows, examples_of
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Identity, Record, Result
from fitgap.definitions.vgg16_layers import count_parameters as count_frozen
from fitgap.definitions.vgg16_layers import freeze_point
from fitgap.networks.assembly import Assembly
from fitgap.networks.storage import StoredBackbone
from fitgap.params.schema import ModelSpec, Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.files import fresh_folder
from fitgap.system.processor import describe_processor
from fitgap.training.trainer import Row, TrainedModel, Trainer
from fitgap.training.watch import Watch


@dataclass(frozen=True)
class Experiment:
    """A model, its data, and how to build its network. One object trains any number of seeds.

    Attributes
    ----------
    model : ModelSpec
    inputs : dict
        Name -> identity of each input, as stored in the record.
    classes : list of str
    draw : callable
        Takes a seed, returns (inputs, labels) for train, validation and test; inputs are images or features.
    build : callable
        Takes a seed, returns a network that outputs logits.
    blank : callable
        Returns a network of that shape, with any weights.
    frozen_parameters : int
        Number of frozen weights below the network.
    fast : bool
        Whether to use hand-written kernels (`compute.hand_written_kernels`).
    """

    model: ModelSpec
    inputs: dict[str, Identity]
    classes: list[str]
    draw: Callable[[int], dict[str, Examples]]
    build: Callable[[int], keras.Model]
    blank: Callable[[], keras.Model]
    frozen_parameters: int = 0
    fast: bool = True

    @cached_property
    def trainer(self) -> Trainer:
        """Compiled once, for all seeds."""
        return Trainer(self.blank(), self.model.schedule, self.model.variant.active, self.fast)


@dataclass(frozen=True)
class Repetition:
    """The finished work of one seed.

    Attributes
    ----------
    trained : TrainedModel
    probabilities : array
        float32, (test images, classes), from the weights of the best epoch.
    processor : str
        What computed it.
    """

    trained: TrainedModel
    probabilities: np.ndarray
    processor: str

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as named arrays, for a checkpoint."""
        return {
            **self.trained.arrays(),
            "probabilities": self.probabilities,
            "processor": np.array(self.processor),
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> "Repetition":
        """Restore a repetition from the result of `arrays`, bit for bit."""
        return cls(TrainedModel.of_arrays(arrays), arrays["probabilities"], arrays["processor"].item())


@dataclass(frozen=True)
class Outcome:
    """The measurements of an experiment, and the repetition of each seed."""

    result: Result
    repetitions: dict[int, Repetition]
    experiment: Experiment

    @property
    def best_seed(self) -> int:
        """The seed with the lowest validation loss."""
        return self.result.record.best_seed

    @property
    def times(self) -> dict[str, Any]:
        """Wall times as keyword arguments of `timings.save`: `seed_seconds`, `rates` and `processors`."""
        trained = {seed: one.trained for seed, one in self.repetitions.items()}
        return {
            "seed_seconds": {seed: one.seconds for seed, one in trained.items()},
            "rates": {"images_per_second": float(np.mean([one.images_per_second for one in trained.values()]))},
            "processors": [one.processor for one in self.repetitions.values()],
        }

    def network_of(self, seed: int) -> keras.Model:
        """Return the shared network, set to the weights of a seed's best epoch."""
        network = self.experiment.trainer.network
        network.set_weights(self.repetitions[seed].trained.weights)
        return network

    def save_weights(self, folder: Path, seeds: list[int]) -> None:
        """Write the weights of these seeds, replacing the content of the folder."""
        with fresh_folder(folder) as made:
            for seed in seeds:
                self.network_of(seed).save_weights(made / weights_file(seed))


def weights_file(seed: int) -> str:
    """Return the file name of one seed's trained weights, in Keras's format."""
    return f"seed-{seed}.weights.h5"


def run_experiment(
    experiment: Experiment, seeds: list[int], kept: Checkpoint, on_epoch: Callable[[Row], None] = lambda row: None
) -> Outcome:
    """Train one model per seed, and test each once, after its training.

    Seeds found in the checkpoint `kept`, from an earlier killed run of the same stage, are not trained again.
    `on_epoch` is called after each epoch with its row of the history and the `seed`.
    """
    model, repetitions, rows = experiment.model, {}, []
    watch = Watch(f"{model.family.name}@{model.name}", seeds, model.schedule.epochs, on_epoch)
    for seed in seeds:
        one = _resume(kept, seed) or _repeat(experiment, kept, seed, watch.add_epoch)
        watch.end_seed()
        repetitions[seed] = one
        labels = experiment.draw(seed)["test"][1]
        rows.append({"seed": seed, **measure_seed(one.trained, one.probabilities, labels)})
    record = Record(
        stage=model.family.name,
        variant=model.name,
        params=model.recorded,
        inputs=experiment.inputs,
        classes=experiment.classes,
        parameters=count_parameters(experiment.trainer.network, experiment.frozen_parameters),
        best_seed=min(rows, key=lambda row: np.nan_to_num(row["val_loss_best"], nan=np.inf))["seed"],
        seeds=rows,
    )
    history = pd.concat([one.trained.history.assign(seed=seed) for seed, one in repetitions.items()])
    history.insert(0, "seed", history.pop("seed"))
    probabilities = np.stack([one.probabilities for one in repetitions.values()])
    return Outcome(Result(record, history, probabilities), repetitions, experiment)


def _repeat(experiment: Experiment, kept: Checkpoint, seed: int, on_epoch: Callable[[Row], None]) -> Repetition:
    """Train and test the model of one seed, and keep it."""
    splits, trainer = experiment.draw(seed), experiment.trainer
    trained = trainer.train(experiment.build(seed), splits["train"], splits["validation"], seed, on_epoch)
    probabilities = trainer.evaluator.probabilities(splits["test"][0])
    one = Repetition(trained, probabilities, describe_processor())
    kept.save(kept_name(seed), one.arrays())
    return one


def _resume(kept: Checkpoint, seed: int) -> Repetition | None:
    arrays = kept.load(kept_name(seed))
    return Repetition.of_arrays(arrays) if arrays else None


def kept_name(seed: int) -> str:
    """Return the name under which a checkpoint holds the repetition of a seed."""
    return f"seed-{seed}"


def measure_seed(trained: TrainedModel, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Summarise one seed's training and test.

    The gap is validation loss minus training loss. The suffix `_best` marks the epoch with the lowest validation
    loss, and the test uses its weights. The suffix `_last` marks the last epoch.

    Parameters
    ----------
    probabilities : float32, (test images, classes)
    labels : int64, (test images,)
    """
    history = trained.history.set_index("epoch")
    losses = history["val_loss"].fillna(np.inf)  # diverged trainings are measured too
    best, last = int(losses.idxmin()), int(history.index[-1])
    row: dict[str, float] = {"epochs_to_best": best}
    for moment, epoch in (("best", best), ("last", last)):
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            row[f"{name}_{moment}"] = float(history.loc[epoch, name])
        row[f"gap_{moment}"] = row[f"val_loss_{moment}"] - row[f"train_loss_{moment}"]
    row["weight_norm_last"] = float(history.loc[last, "weight_norm"])
    row["updates"] = trained.updates
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    row["test_loss"] = float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())
    row["test_accuracy"] = float((probabilities.argmax(axis=1) == labels).mean())
    return row


def count_parameters(network: keras.Model, frozen: int) -> dict[str, int]:
    """Return the number of weights: total, trainable, and frozen."""
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    total = network.count_params() + frozen
    return {"total": total, "trainable": trainable, "frozen": frozen}


def draw_examples(params: Params, images: PreparedImages, inputs: np.ndarray, seed: int) -> dict[str, Examples]:
    """Return one repetition's (inputs, labels) by split; `inputs` has one row per image, such as its feature map."""
    return examples_of(images, inputs, draw_rows(images, params.data, seed))


def head_experiment(
    params: Params, model: ModelSpec, images: PreparedImages, backbone: StoredBackbone, features: np.ndarray
) -> Experiment:
    """Build the experiment that trains a classifier on frozen features; `features` has one row per image."""
    assembly = Assembly(params, len(images.class_names))
    return Experiment(
        model=model,
        inputs={"data": images.identity, "backbone": backbone.identity},
        classes=images.class_names,
        draw=partial(draw_examples, params, images, features),
        build=lambda seed: assembly.head(model.variant, seed),
        blank=lambda: assembly.build(model, seed=0),
        fast=params.compute.hand_written_kernels,
        frozen_parameters=count_frozen(params.head.layer),
    )


def finetune_experiment(
    params: Params,
    model: ModelSpec,
    images: PreparedImages,
    backbone: StoredBackbone,
    features: np.ndarray,
    heads: Path,
) -> Experiment:
    """Build the experiment that trains VGG16 from the model's depth up, starting from trained heads.

    Parameters
    ----------
    features : activations at the freeze point, one row per image
    heads : folder of the heads' weights, one file per seed
    """
    assembly = Assembly(params, len(images.class_names), backbone.weights)
    return Experiment(
        model=model,
        inputs={"data": images.identity, "backbone": backbone.identity},
        classes=images.class_names,
        draw=partial(draw_examples, params, images, features),
        build=lambda seed: assembly.finetune(model.name, model.variant, seed, heads / weights_file(seed)),
        blank=lambda: assembly.build(model, seed=0),
        fast=params.compute.hand_written_kernels,
        frozen_parameters=count_frozen(freeze_point(model.name)),
    )


def scratch_experiment(params: Params, model: ModelSpec, images: PreparedImages) -> Experiment:
    """Build the experiment that trains the notes' network on raw images, at the model's learning rate."""
    assembly = Assembly(params, len(images.class_names))
    return Experiment(
        model=model,
        inputs={"data": images.identity},
        classes=images.class_names,
        draw=partial(draw_examples, params, images, images.images),
        build=lambda seed: assembly.scratch(model.variant, seed),
        blank=lambda: assembly.build(model, seed=0),
        fast=params.compute.hand_written_kernels,
    )
