"""The one training loop: scratch models, heads and fine-tuning all go through `Trainer.train`."""

import time
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fitgap.determinism import derived_seed
from fitgap.params import Training
from fitgap.training.evaluation import Evaluator, penalty, weight_norm

Examples = tuple[np.ndarray, np.ndarray]  # inputs, labels
NUMBERS = ("updates", "seconds", "images_per_second")
STEPS_PER_EXECUTION = 32  # updates between two returns to Python; 1.5 times the speed of 1 on small networks


@dataclass(frozen=True)
class Trained:
    """A finished training, and the weights of its best epoch."""

    weights: list[np.ndarray]
    history: pd.DataFrame
    updates: int
    seconds: float
    images_per_second: float

    def arrays(self) -> dict[str, np.ndarray]:
        """Give all of it as named arrays, to be kept until the stage is through."""
        weights = {f"weights/{position:04d}": array for position, array in enumerate(self.weights)}
        columns = {f"history/{name}": values.to_numpy() for name, values in self.history.items()}
        numbers = {name: np.array(getattr(self, name)) for name in NUMBERS}
        return weights | columns | numbers

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> "Trained":
        """Make it again of what `arrays` gave, to the last bit."""
        weights = [array for name, array in arrays.items() if name.startswith("weights/")]
        columns = {name.removeprefix("history/"): a for name, a in arrays.items() if name.startswith("history/")}
        return cls(weights, pd.DataFrame(columns), **{name: arrays[name].item() for name in NUMBERS})


class Trainer:
    """Trains networks of one shape, one after the other, and compiles only once: it takes seconds.

    Parameters
    ----------
    network : gives logits; `train` overwrites its weights
    schedule : epochs and batch size
    learning_rate : of Adam (Kingma & Ba 2014, arXiv:1412.6980)
    """

    def __init__(self, network: keras.Model, schedule: Training, learning_rate: float):
        self.network, self._schedule = network, schedule
        network.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=STEPS_PER_EXECUTION,
            jit_compile=False,  # XLA is many times slower for convolutions on CPUs
        )
        network.optimizer.build(network.trainable_variables)
        self._optimizer_at_start = [variable.numpy() for variable in network.optimizer.variables]
        self.evaluator = Evaluator(network)

    def train(self, start: keras.Model, training: Examples, validation: Examples, seed: int) -> Trained:
        """Train from the weights of `start`, and end with those of the best epoch.

        The best epoch is the one with the lowest validation loss; the first of equals. The order of the data
        depends on `seed` alone, so that models of one seed see the same batches. What was trained before
        leaves no trace.

        Parameters
        ----------
        start : a network of the same shape; its weights and the state of its dropout are taken over

        Returns
        -------
        Trained
            `history` has one row per epoch: epoch (from 1), train_loss, train_accuracy, val_loss,
            val_accuracy (inference mode, no penalty), objective (mean over the epoch of what was optimised,
            penalty and dropout included), penalty and weight_norm (both at the epoch's end).
        """
        self._begin_from(start)
        epochs, observer = self._schedule.epochs, HonestHistory(self.evaluator, training, validation)
        batches = shuffled_batches(*training, self._schedule.batch_size, seed)
        begin = time.perf_counter()
        self.network.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[observer])
        seconds = time.perf_counter() - begin
        updates = int(self.network.optimizer.iterations)
        self.network.set_weights(observer.best_weights)
        rate = epochs * len(training[1]) / (seconds - observer.seconds)
        return Trained(observer.best_weights, pd.DataFrame(observer.rows), updates, seconds, rate)

    def _begin_from(self, start: keras.Model) -> None:
        for own, given in zip(self.network.variables, start.variables, strict=True):
            own.assign(given)
        for own, at_start in zip(self.network.optimizer.variables, self._optimizer_at_start, strict=True):
            own.assign(at_start)


def shuffled_batches(inputs: np.ndarray, labels: np.ndarray, batch_size: int, seed: int) -> tf.data.Dataset:
    """Give one epoch's batches; each time it is iterated, in a new order that follows from `seed` alone."""
    inputs, labels = tf.constant(inputs), tf.constant(labels)
    rows = tf.data.Dataset.range(len(labels))
    order = rows.shuffle(len(labels), seed=derived_seed(seed, "data order"), reshuffle_each_iteration=True)

    @tf.autograph.experimental.do_not_convert  # which would leave files in the temporary folder
    def gather(batch):
        return tf.gather(inputs, batch), tf.gather(labels, batch)

    return order.batch(batch_size).map(gather).prefetch(tf.data.AUTOTUNE)


class HonestHistory(keras.callbacks.Callback):
    """Measures both splits in inference mode after every epoch, and keeps the best epoch's weights."""

    def __init__(self, evaluator: Evaluator, training: Examples, validation: Examples):
        super().__init__()
        self._evaluator, self._training, self._validation = evaluator, training, validation
        self.rows: list[dict[str, float]] = []
        self.best_weights: list[np.ndarray] = []
        self._lowest = np.inf
        self.seconds = 0.0

    def on_epoch_end(self, epoch, logs=None):
        """Add the epoch's row."""
        begin = time.perf_counter()
        train_loss, train_accuracy = self._evaluator.loss_and_accuracy(*self._training)
        val_loss, val_accuracy = self._evaluator.loss_and_accuracy(*self._validation)
        self.rows.append(
            {
                "epoch": epoch + 1,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "objective": float(logs["loss"]),
                "penalty": penalty(self.model),
                "weight_norm": weight_norm(self.model),
            }
        )
        if val_loss < self._lowest or not self.best_weights:  # a loss that is no number is never the lowest
            self.best_weights, self._lowest = self.model.get_weights(), min(val_loss, self._lowest)
        self.seconds += time.perf_counter() - begin
