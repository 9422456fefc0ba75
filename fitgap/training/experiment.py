"""Train one model of the comparison once per seed, and measure every seed the same way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from fitgap.backbone.storage import StoredBackbone
from fitgap.definitions.vgg16_layers import count_parameters as count_frozen
from fitgap.definitions.vgg16_layers import freeze_point
from fitgap.images.draws import Examples, draw_rows, examples_of
from fitgap.images.prepared import PreparedImages
from fitgap.networks.assembly import Assembly
from fitgap.params.schema import ModelSpec, Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.pipeline.record import Identity, Record, Result
from fitgap.system.files import fresh_folder
from fitgap.training.trainer import Row, TrainedModel, Trainer
from fitgap.training.watch import Watch


@dataclass(frozen=True)
class Experiment:
    """A model, its data, and how to build its network.

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
    frozen_parameters: int = 0
    fast: bool = True


@dataclass
class Outcome:
    """The measurements of an experiment, and the trained model of each seed."""

    result: Result
    trained: dict[int, TrainedModel]
    network: keras.Model = field(repr=False)

    @property
    def best_seed(self) -> int:
        """The seed with the lowest validation loss."""
        return self.result.record.best_seed

    @property
    def times(self) -> dict[str, Any]:
        """Wall times as keyword arguments of `timings.save`: `seed_seconds` and `rates`."""
        rate = float(np.mean([one.images_per_second for one in self.trained.values()]))
        seconds = {seed: one.seconds for seed, one in self.trained.items()}
        return {"seed_seconds": seconds, "rates": {"images_per_second": rate}}

    def network_of(self, seed: int) -> keras.Model:
        """Return the shared network, set to the weights of a seed's best epoch."""
        self.network.set_weights(self.trained[seed].weights)
        return self.network

    def save_weights(self, folder: Path, seeds: list[int]) -> None:
        """Write the weights of these seeds, replacing the content of the folder."""
        with fresh_folder(folder) as made:
            for seed in seeds:
                self.network_of(seed).save_weights(made / weights_file(seed))


def weights_file(seed: int) -> str:
    """Return the file name of one seed's trained weights, in Keras's format."""
    return f"seed-{seed}.weights.h5"


def run_experiment(experiment: Experiment, seeds: list[int], kept: Checkpoint) -> Outcome:
    """Train one model per seed, and test each once, after its training.

    Seeds found in the checkpoint `kept`, from an earlier killed run of the same stage, are not trained again.
    """
    model = experiment.model
    trainer = Trainer(experiment.build(seeds[0]), model.schedule, model.variant.active, experiment.fast)
    trained, probabilities, rows = {}, [], []
    watch = Watch(f"{model.family.name}@{model.name}", len(seeds), model.schedule.epochs)
    for seed in seeds:
        splits = experiment.draw(seed)
        one = _resume(kept, seed, trainer) or _train(experiment, splits, kept, seed, trainer, watch.add_epoch)
        trained[seed] = one
        watch.end_seed()
        probabilities.append(trainer.evaluator.probabilities(splits["test"][0]))
        rows.append({"seed": seed, **measure_seed(one, probabilities[-1], splits["test"][1])})
    record = Record(
        stage=model.family.name,
        variant=model.name,
        params=model.recorded,
        inputs=experiment.inputs,
        classes=experiment.classes,
        parameters=count_parameters(trainer.network, experiment.frozen_parameters),
        best_seed=min(rows, key=lambda row: np.nan_to_num(row["val_loss_best"], nan=np.inf))["seed"],
        seeds=rows,
    )
    history = pd.concat([one.history.assign(seed=seed) for seed, one in trained.items()])
    history.insert(0, "seed", history.pop("seed"))
    return Outcome(Result(record, history, np.stack(probabilities)), trained, trainer.network)


def _train(
    experiment: Experiment,
    splits: dict[str, Examples],
    kept: Checkpoint,
    seed: int,
    trainer: Trainer,
    on_epoch: Callable[[Row], None],
) -> TrainedModel:
    one = trainer.train(experiment.build(seed), splits["train"], splits["validation"], seed, on_epoch)
    kept.save(f"seed-{seed}", one.arrays())
    return one


def _resume(kept: Checkpoint, seed: int, trainer: Trainer) -> TrainedModel | None:
    arrays = kept.load(f"seed-{seed}")
    if arrays is None:
        return None
    one = TrainedModel.of_arrays(arrays)
    trainer.network.set_weights(one.weights)
    return one


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
        fast=params.compute.hand_written_kernels,
    )
