"""One model of the comparison: trained once per seed, measured the same way each time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from fitgap import timings
from fitgap.checkpoints import Kept
from fitgap.folders import fresh
from fitgap.params import Training
from fitgap.results import Result
from fitgap.training.loop import Examples, Trained, Trainer


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
    """What came of it: the measurements, and what each seed's training left."""

    result: Result
    trained: dict[int, Trained]
    network: keras.Model = field(repr=False)

    @property
    def best_seed(self) -> int:
        """The seed with the lowest validation loss."""
        return self.result.record["best_seed"]

    def network_of(self, seed: int) -> keras.Model:
        """Give the network with the weights that `seed` ended with: its best epoch's."""
        self.network.set_weights(self.trained[seed].weights)
        return self.network

    def leave(self, models: Path, results: Path, seeds: list[int], spent: Mapping[str, float]) -> None:
        """Write the weights of `seeds`, the result and its wall times."""
        with fresh(models) as folder:
            for seed in seeds:
                self.network_of(seed).save_weights(folder / weights_file(seed))
        self.leave_result(results, spent)

    def leave_result(self, results: Path, spent: Mapping[str, float]) -> None:
        """Write the result and its wall times."""
        with fresh(results) as folder:
            self.result.write(folder)
        seconds = {seed: one.seconds for seed, one in self.trained.items()}
        rate = float(np.mean([one.images_per_second for one in self.trained.values()]))
        timings.keep(self.result, spent, seconds, images_per_second=rate)


def weights_file(seed: int) -> str:
    """Name the file of one seed's trained weights, in Keras's format."""
    return f"seed-{seed}.weights.h5"


def run(experiment: Experiment, seeds: list[int], kept: Kept) -> Outcome:
    """Train one model per seed. The test images are looked at once per finished model, after its training.

    `kept` holds what an earlier, killed run of the same stage had trained; those seeds are not trained again.
    """
    splits = experiment.splits
    trainer = Trainer(experiment.build(seeds[0]), experiment.schedule, experiment.learning_rate)
    trained, probabilities, rows = {}, [], []
    for seed in tqdm(seeds, desc=experiment.record["stage"], unit="seed", disable=None):
        one = trained[seed] = _resumed(kept, seed, trainer) or _trained(experiment, kept, seed, trainer)
        probabilities.append(trainer.evaluator.probabilities(splits["test"][0]))
        rows.append({"seed": seed, **measure(one, probabilities[-1], splits["test"][1])})
    record = {
        **experiment.record,
        "parameters": count_parameters(trainer.network, experiment.frozen_parameters),
        "best_seed": min(rows, key=lambda row: np.nan_to_num(row["val_loss_best"], nan=np.inf))["seed"],
        "seeds": rows,
    }
    history = pd.concat([one.history.assign(seed=seed) for seed, one in trained.items()])
    history.insert(0, "seed", history.pop("seed"))
    return Outcome(Result(record, history, np.stack(probabilities)), trained, trainer.network)


def _trained(experiment: Experiment, kept: Kept, seed: int, trainer: Trainer) -> Trained:
    splits = experiment.splits
    one = trainer.train(experiment.build(seed), splits["train"], splits["validation"], seed)
    kept.save(f"seed-{seed}", one.arrays())
    return one


def _resumed(kept: Kept, seed: int, trainer: Trainer) -> Trained | None:
    arrays = kept.load(f"seed-{seed}")
    if arrays is None:
        return None
    one = Trained.of_arrays(arrays)
    trainer.network.set_weights(one.weights)
    return one


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
