"""Train one model of the comparison once per seed, and measure every seed the same way."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from fitgap.data.draws import Examples, draw_rows, examples_of
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Identity, Record, Result
from fitgap.data.results import weights_file
from fitgap.definitions.measurements import MOMENTS, name_at
from fitgap.definitions.vgg16_layers import count_parameters as count_frozen
from fitgap.networks.architectures import set_unit_size
from fitgap.networks.assembly import Assembly
from fitgap.networks.storage import StoredBackbone
from fitgap.params.schema import ModelSpec, Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.progress import TrainingProgress
from fitgap.training.trainer import Row, TrainedModel, Trainer

CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")  # columns of the history


@dataclass(frozen=True)
class Experiment:
    """A model, its data, and how to build its network. One object trains any number of seeds."""

    model: ModelSpec
    inputs: dict[str, Identity]  # name -> identity of each input, as stored in the record
    classes: list[str]
    draw: Callable[[int], dict[str, Examples]]  # seed -> split -> its inputs (images or features) and labels
    build: Callable[[int], keras.Model]  # seed -> a network that outputs logits
    blank: Callable[[], keras.Model]  # -> a network of that shape, with any weights
    frozen_parameters: int = 0  # number of frozen weights below the network
    fast: bool = True  # whether to use hand-written kernels (`compute.hand_written_kernels`)
    is_start: bool = False  # whether fine-tuning starts from its models
    compiled: Trainer | None = None  # of an experiment whose model differs in the learning rate only

    obstacle = None  # why nothing can be trained; models with one have no experiment

    @property
    def seeds(self) -> list[int]:
        """The seeds to train."""
        return self.model.recorded["seeds"]

    @cached_property
    def trainer(self) -> Trainer:
        """Compiled once, for all seeds."""
        model = self.model
        return self.compiled or Trainer(self.blank(), model.schedule, model.variant.active, self.fast, model.passes)

    def run(
        self, seeds: list[int], checkpoint: Checkpoint, on_epoch: Callable[[Row], None] = lambda row: None, prefix=""
    ) -> "Outcome":
        """Train one model per seed, and test each after its training, at each of MOMENTS.

        Seeds in the checkpoint, from an earlier killed run of the same stage, are not trained again. `on_epoch` is
        called after each epoch with its row of the history and the `seed`. A `prefix` keeps the entries of several
        experiments in one checkpoint apart.
        """
        repetitions, rows = {}, []
        progress = TrainingProgress(self.model.label, seeds, self.model.schedule.epochs, on_epoch)
        for seed in seeds:
            trained = checkpoint.load(name := f"{prefix}seed-{seed}")
            inputs, labels = self.draw(seed)["test"]
            if trained is None:
                trained = self.trainer.test(self._train(seed, progress.add_epoch), inputs)
                checkpoint.save(name, trained)
            repetitions[seed] = trained
            progress.end_seed()
            rows.append({"seed": seed, **measure_seed(trained, labels)})
        record = Record(
            stage=self.model.family.name,
            variant=self.model.name,
            params=self.model.recorded,
            inputs=self.inputs,
            classes=self.classes,
            moments=list(MOMENTS),
            parameters=count_parameters(self.trainer.network, self.frozen_parameters),
            best_seed=min(rows, key=lambda row: np.nan_to_num(row["val_loss_best"], nan=np.inf))["seed"],
            seeds=rows,
        )
        history = pd.concat([trained.history.assign(seed=seed) for seed, trained in repetitions.items()])
        history.insert(0, "seed", history.pop("seed"))
        best, *others = np.stack([trained.probabilities for trained in repetitions.values()], axis=1)
        return Outcome(Result(record, history, best, np.stack(others)), repetitions, self.trainer.network)

    def measure_trial(self, draw: int) -> dict[str, float]:
        """Train one model on a draw, and measure it on training and validation images only."""
        history, epochs = (trained := self._train(draw, curves=False)).history.set_index("epoch"), trained.epochs
        best = {f"{name}_best": history.loc[epochs["best"], name] for name in ("val_loss", "val_accuracy")}
        last = {f"{name}_last": history.loc[epochs["last"], name] for name in CURVES}
        return {name: float(value) for name, value in (best | last).items()} | {"epochs_to_best": epochs["best"]}

    def _train(
        self, seed: int, on_epoch: Callable[[Row], None] = lambda row: None, curves: bool = True
    ) -> TrainedModel:
        splits, rate = self.draw(seed), self.model.schedule.learning_rate
        start, train, validation = self.build(seed), splits["train"], splits["validation"]
        return self.trainer.train(start, train, validation, seed, on_epoch, learning_rate=rate, curves=curves)


@dataclass(frozen=True)
class Outcome:
    """The measurements of an experiment, and the model of each seed."""

    result: Result
    repetitions: dict[int, TrainedModel] = field(default_factory=dict)  # none of the learning curve's two ways
    network: keras.Model | None = None  # which all seeds share; its weights are any

    @property
    def times(self) -> dict[str, Any]:
        """Wall times as keyword arguments of `timings.save`: `seed_seconds`, `rates` and `processors`."""
        if not self.repetitions:
            return {}
        models = self.repetitions.values()
        return {
            "seed_seconds": {seed: model.seconds for seed, model in self.repetitions.items()},
            "rates": {"images_per_second": float(np.mean([model.images_per_second for model in models]))},
            "processors": [model.processor for model in models],
        }

    def network_of(self, seed: int) -> keras.Model:
        """Return the shared network, set to the weights of a seed's best epoch."""
        self.network.set_weights(self.repetitions[seed].weights)
        return self.network

    def save_weights(self, folder: Path, seeds: Iterable[int]) -> None:
        """Write the weights of these seeds into an existing folder."""
        for seed in seeds:
            self.network_of(seed).save_weights(folder / weights_file(seed))


def measure_seed(trained: TrainedModel, labels: np.ndarray) -> dict[str, float]:
    """Summarise one seed's training and its test on images with these labels, at each of MOMENTS.

    A gap is validation loss minus training loss; an accuracy gap is training accuracy minus validation accuracy. The
    suffix is the moment. The test of the best epoch has none.
    """
    history, epochs = trained.history.set_index("epoch"), trained.epochs
    row: dict[str, float] = {f"epochs_to_{moment}": epochs[moment] for moment in ("best", "peak")}
    for (moment, epoch), answers in zip(epochs.items(), trained.probabilities, strict=True):
        now = {name: float(history.loc[epoch, name]) for name in CURVES}
        now["gap"] = now["val_loss"] - now["train_loss"]
        now["accuracy_gap"] = now["train_accuracy"] - now["val_accuracy"]
        row |= {f"{name}_{moment}": value for name, value in now.items()}
        row |= {name_at(name, moment): value for name, value in _measure_test(answers, labels).items()}
    return row | {"weight_norm_last": float(history["weight_norm"].iloc[-1]), "updates": trained.updates}


def _measure_test(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()
    return {"test_loss": float(loss), "test_accuracy": float((probabilities.argmax(axis=1) == labels).mean())}


def count_parameters(network: keras.Model, frozen: int) -> dict[str, int]:
    """Return the number of weights: total, trainable, and frozen."""
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    total = network.count_params() + frozen
    return {"total": total, "trainable": trainable, "frozen": frozen}


def build_experiment(
    params: Params,
    model: ModelSpec,
    images: PreparedImages,
    inputs: np.ndarray,
    backbone: StoredBackbone | None = None,
    start_head: Callable[[keras.Model, int], None] | None = None,
) -> Experiment:
    """Build the experiment that trains a model of params.yaml.

    Parameters
    ----------
    inputs : what the network takes, one row per image: pixels, or activations of the frozen base
    backbone : the base of those activations
    start_head : takes a head and a seed; sets the trained weights that fine-tuning starts from
    """
    assembly = Assembly(images.images.shape[1], len(images.class_names), backbone and backbone.weights)
    borrowed = {"backbone": backbone.identity} if backbone else {}

    def draw(seed: int) -> dict[str, Examples]:
        return examples_of(images, inputs, draw_rows(images, params.data, seed))

    def build(seed: int) -> keras.Model:
        network = assembly.build(model, seed, start_head)
        if model.family.name == "head":
            set_unit_size(network, draw(seed)["train"][0][:])
        return network

    return Experiment(
        model=model,
        inputs={"data": images.identity, **borrowed},
        classes=images.class_names,
        draw=draw,
        build=build,
        blank=lambda: assembly.build(model, seed=0),
        frozen_parameters=count_frozen(assembly.top(model)) if backbone else 0,
        fast=params.compute.hand_written_kernels,
        is_start=model.label == f"head@{params.finetune.head}",
    )
