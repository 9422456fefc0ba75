"""One model of the comparison: trained once per seed, measured the same way each time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from fitgap import timings
from fitgap.folders import fresh
from fitgap.params import Training
from fitgap.results import Result
from fitgap.training.evaluation import Evaluator
from fitgap.training.loop import Examples, Trained, train


@dataclass(frozen=True)
class Experiment:
    """What is trained on what.

    Attributes
    ----------
    splits : dict of (inputs, labels) for train, validation and test; inputs are images or features
    build : from a seed to a network that gives logits
    frozen_parameters : weights below the network that are used but not trained
    """

    record: dict[str, Any]
    splits: dict[str, Examples]
    build: Callable[[int], keras.Model]
    schedule: Training
    learning_rate: float
    frozen_parameters: int = 0


@dataclass
class Outcome:
    """What came of it: the measurements, the trained weights and the wall times, by seed."""

    result: Result
    weights: dict[int, list[np.ndarray]]
    seconds: dict[int, float]
    images_per_second: float
    network: keras.Model = field(repr=False)

    @property
    def best_seed(self) -> int:
        """The seed with the lowest validation loss."""
        return self.result.record["best_seed"]

    def network_of(self, seed: int) -> keras.Model:
        """Give the network with the weights that `seed` ended with (its best epoch)."""
        self.network.set_weights(self.weights[seed])
        return self.network

    def leave(self, models: Path, results: Path, seeds: list[int], stage_seconds: float) -> None:
        """Write the weights of `seeds`, the result and its wall times."""
        with fresh(models) as folder:
            for seed in seeds:
                self.network_of(seed).save_weights(folder / weights_file(seed))
        with fresh(results) as folder:
            self.result.write(folder)
        timings.keep(self.result, stage_seconds, self.seconds, images_per_second=self.images_per_second)


def weights_file(seed: int) -> str:
    """Name the file of one seed's trained weights, in Keras's format."""
    return f"seed-{seed}.weights.h5"


def run(experiment: Experiment, seeds: list[int]) -> Outcome:
    """Train one model per seed. The test images are looked at once per finished model, at the very end."""
    trained = {seed: _train(experiment, seed) for seed in tqdm(seeds, desc=experiment.record["stage"], disable=None)}
    weights = {seed: one.network.get_weights() for seed, one in trained.items()}
    probabilities = np.stack(
        [Evaluator(t.network).probabilities(experiment.splits["test"][0]) for t in trained.values()]
    )
    measured = [
        {"seed": seed, **measure(one, answers, experiment.splits["test"][1])}
        for (seed, one), answers in zip(trained.items(), probabilities, strict=True)
    ]
    network = trained[seeds[0]].network
    record = {
        **experiment.record,
        "parameters": count_parameters(network, experiment.frozen_parameters),
        "best_seed": min(measured, key=lambda row: np.nan_to_num(row["val_loss_best"], nan=np.inf))["seed"],
        "seeds": measured,
    }
    history = pd.concat([one.history.assign(seed=seed) for seed, one in trained.items()])
    history.insert(0, "seed", history.pop("seed"))
    seconds = {seed: one.seconds for seed, one in trained.items()}
    rate = float(np.mean([one.images_per_second for one in trained.values()]))
    return Outcome(Result(record, history, probabilities), weights, seconds, rate, network)


def _train(experiment: Experiment, seed: int) -> Trained:
    splits = experiment.splits
    network = experiment.build(seed)
    return train(network, splits["train"], splits["validation"], experiment.schedule, experiment.learning_rate, seed)


def measure(trained: Trained, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Sum up one seed's training and its test.

    The gap is validation loss minus training loss. `_best` is at the epoch with the lowest validation loss,
    whose weights are the ones tested; `_last` at the last epoch.
    """
    history = trained.history.set_index("epoch")
    losses = history["val_loss"].fillna(np.inf)  # a training that diverged is measured too
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
    """Count weights: all that are used, those that gradients move, those that stay frozen."""
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    total = network.count_params() + frozen
    return {"total": total, "trainable": trainable, "frozen": frozen}
