"""The training loop: scratch models, heads and fine-tuning all use `Trainer.train`.

Keras's `fit` would make the same updates. It returns to Python and restarts the data set at least once per epoch,
which is a large overhead for small data sets. Here an epoch is one call of a TensorFlow graph. `make bench` measures
both.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fitgap.data.draws import Examples
from fitgap.definitions.determinism import derive_seed
from fitgap.definitions.measurements import MOMENTS
from fitgap.networks.evaluation import Evaluator, input_spec
from fitgap.networks.kernels import fast_adam, fast_kernels
from fitgap.params.sections import Training
from fitgap.remedies.remedy import Loss, Remedy
from fitgap.system.processor import describe_processor

Row = dict[str, float]  # column of the history -> value after one epoch


@dataclass(frozen=True)
class TrainedModel:
    """A finished training, and the weights of its best epoch; until it is tested, also those of the other moments."""

    weights: list[np.ndarray]
    history: pd.DataFrame
    updates: int
    seconds: float
    images_per_second: float
    other_weights: dict[str, list[np.ndarray]] = field(default_factory=dict)  # moment -> weights
    probabilities: np.ndarray | None = None  # of the test images at each of MOMENTS, float32 (moments, n, classes)
    processor: str = field(default_factory=describe_processor)  # what computed it

    @property
    def epochs(self) -> dict[str, int]:
        """The epoch of each of MOMENTS; a diverged epoch has the highest loss."""
        history = self.history.set_index("epoch")
        best, peak = history["val_loss"].fillna(np.inf).idxmin(), history["val_accuracy"].idxmax()
        return dict(zip(MOMENTS, map(int, (best, peak, history.index[-1])), strict=True))


class Trainer:
    """Train networks of one shape in turn. Compilation takes seconds, so it is done once.

    Parameters
    ----------
    network : returns logits; `train` overwrites its weights
    schedule : epochs, batch size, and the learning rate of Adam (Kingma & Ba 2014, arXiv:1412.6980)
    remedies : may replace the loss or the optimizer; the other remedies are part of the network
    fast : whether to use hand-written kernels; results are equal up to rounding
    passes : over the training examples in each epoch
    """

    def __init__(self, network: keras.Model, schedule: Training, remedies: Sequence[Remedy] = (), fast=True, passes=1):
        self.network, self._schedule, self._passes = network, schedule, passes
        self._loss, self._fast = _loss_of(remedies), fast
        self._optimizer = _optimizer_of(remedies, schedule.learning_rate)
        # The epochs after which both splits are measured, and 0 before them; the last epoch is one of them.
        self._measured_epochs = [*range(0, schedule.epochs, getattr(schedule, "validation_freq", 1)), schedule.epochs]
        self._patience = next((patience for remedy in remedies if (patience := remedy.patience())), None)
        self._optimizer.build(network.trainable_variables)
        self._optimizer_at_start = [variable.numpy() for variable in self._optimizer.variables]
        self.evaluator = Evaluator(network, fast=fast)

    def train(
        self,
        start: keras.Model,
        training: Examples,
        validation: Examples,
        seed: int,
        on_epoch: Callable[[Row], None] = lambda row: None,
        learning_rate: float | None = None,
        curves: bool = True,
    ) -> TrainedModel:
        """Train from the weights of `start`, then restore the weights of the best epoch.

        The best epoch has the lowest validation loss; the first one wins ties. The order of the data depends only on
        `seed`, so models of one seed see the same batches. Earlier calls have no influence.

        Parameters
        ----------
        start : a network of the same shape; its weights and dropout state are copied
        training, validation : inputs (n, ...) and labels, int64 (n,); the inputs are read into memory
        on_epoch : is called with the row of `history` after each epoch
        learning_rate : replaces the schedule's
        curves : False measures the training examples after the last epoch only; earlier rows have NaN

        Returns
        -------
        TrainedModel
            `history` has one row per measured epoch: epoch (from 1), train_loss, train_accuracy, val_loss,
            val_accuracy (inference mode, no penalty), objective (mean over the epoch of the optimised function,
            with penalty and dropout), penalty and weight_norm (both at the epoch's end).
        """
        self._begin_from(start, learning_rate)
        inputs, labels = (tf.constant(np.concatenate([a[:], b[:]])) for a, b in zip(training, validation, strict=True))
        epochs, count, recorder = self._schedule.epochs, len(training[1]), HistoryRecorder()
        orders = epoch_orders(count, epochs * self._passes, seed)
        begin, seconds, epoch = time.perf_counter(), 0.0, 0
        for before, epoch in itertools.pairwise(self._measured_epochs):
            updating = time.perf_counter()
            own = itertools.islice(orders, (epoch - before) * self._passes)
            objectives = [float(self._updates(inputs, labels, tf.constant(order))) for order in own]
            seconds += time.perf_counter() - updating
            first = 0 if curves or epoch == epochs else count
            measured = self.evaluator.measure(inputs, labels, count, first)
            recorder.add_epoch(epoch, float(np.mean(objectives)), *measured)
            on_epoch(recorder.rows[-1])
            if self._patience and epoch - recorder.best_epoch >= self._patience:
                break
        updates, rate = int(self._optimizer.iterations), epoch * self._passes * count / seconds
        if self._patience:
            self._go_back(recorder, lambda: self.evaluator.measure(inputs, labels, count)[0])
        others = {moment: [weight.numpy() for weight in weights] for moment, weights in recorder.weights.items()}
        others["last"], best = self.network.get_weights(), others.pop("best")
        seconds = time.perf_counter() - begin
        self.network.set_weights(best)
        return TrainedModel(best, pd.DataFrame(recorder.rows), updates, seconds, rate, others)

    def test(self, trained: TrainedModel, inputs: np.ndarray) -> TrainedModel:
        """Return the model with its class probabilities at each of MOMENTS, and with the weights of the best alone."""
        by_epoch: dict[int, np.ndarray] = {}
        for moment, epoch in trained.epochs.items():
            if epoch not in by_epoch:
                self.network.set_weights(trained.other_weights.get(moment, trained.weights))
                by_epoch[epoch] = self.evaluator.probabilities(inputs)
        probabilities = np.stack([by_epoch[epoch] for epoch in trained.epochs.values()])
        return replace(trained, other_weights={}, probabilities=probabilities)

    def _go_back(self, recorder: "HistoryRecorder", measure: Callable[[], Row]) -> None:
        """End as early stopping does, with the weights of the best epoch: all rows after the stop speak of these."""
        self.network.set_weights(recorder.weights["best"])
        measured, epochs = measure(), self._measured_epochs[1:]
        del recorder.rows[len(epochs) - 1 :]  # a training that was not stopped goes back in its last row
        for epoch in epochs[len(recorder.rows) :]:
            recorder.rows.append({"epoch": epoch, "objective": np.nan, **measured})

    def _begin_from(self, start: keras.Model, learning_rate: float | None) -> None:
        for own, given in zip(self.network.variables, start.variables, strict=True):
            own.assign(given)
        for own, at_start in zip(self._optimizer.variables, self._optimizer_at_start, strict=True):
            own.assign(at_start)
        if learning_rate is not None:
            self._optimizer.learning_rate = learning_rate

    @cached_property
    def _updates(self) -> Callable[..., tf.Tensor]:
        """`_update_all`, compiled. Calls of a concrete function take less time than those of its tf.function."""
        rows = tf.TensorSpec((None,), tf.int64)
        # XLA's convolutions are many times slower on CPUs.
        compiled = tf.function(self._update_all, autograph=False, jit_compile=False)
        return compiled.get_concrete_function(input_spec(self.network), rows, rows)

    def _update_all(self, inputs: tf.Tensor, labels: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
        """Train once on the examples in the rows `order`; return the mean objective. The last batch may be smaller."""
        count, size = tf.size(order), self._schedule.batch_size

        def update(start, total):
            rows = order[start : start + size]
            objective = self._update(tf.gather(inputs, rows), tf.gather(labels, rows))
            return start + size, total + objective * tf.cast(tf.size(rows), tf.float32)

        total = tf.while_loop(lambda start, _: start < count, update, (0, 0.0), parallel_iterations=1)[1]
        return total / tf.cast(count, tf.float32)

    def _update(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            with fast_kernels(self.network, is_on=self._fast):
                logits = self.network(inputs, training=True)
            objective = tf.add_n([tf.reduce_mean(self._loss(labels, logits)), *self.network.losses])
        weights = self.network.trainable_variables
        with fast_adam(self._optimizer, is_on=self._fast):
            self._optimizer.apply(tape.gradient(objective, weights), weights)
        return objective


def _loss_of(remedies: Sequence[Remedy]) -> Loss:
    replaced = (remedy.loss() for remedy in remedies)
    return next((loss for loss in replaced if loss is not None), tf.nn.sparse_softmax_cross_entropy_with_logits)


def _optimizer_of(remedies: Sequence[Remedy], learning_rate: float) -> keras.optimizers.Optimizer:
    replaced = (remedy.optimizer(learning_rate) for remedy in remedies)
    return next((found for found in replaced if found is not None), None) or keras.optimizers.Adam(learning_rate)


def epoch_orders(count: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the order of the examples of each epoch, int64 (count,); it depends only on `seed`."""
    random = np.random.default_rng(derive_seed(seed, "data order"))
    return (random.permutation(count) for _ in range(epochs))


class HistoryRecorder:
    """Keep the rows of the history, and the weights of the best epoch and of the peak."""

    def __init__(self):
        self.rows: list[Row] = []
        self.weights: dict[str, list[tf.Tensor]] = {}  # moment -> weights
        self.best_epoch = 1
        self._highest = {"best": -np.inf, "peak": -np.inf}  # of the validation loss times -1, and of the accuracy

    def add_epoch(self, epoch: int, objective: float, measured: Row, weights: list[tf.Tensor]) -> None:
        """Add the row of a finished epoch: the mean of the optimised function, and what `Evaluator.measure` says."""
        self.rows.append({"epoch": epoch, "objective": objective, **measured})
        now = {"best": -measured["val_loss"], "peak": measured["val_accuracy"]}
        higher = {moment: value for moment, value in now.items() if value > self._highest[moment]}  # NaN is not
        if higher or not self.weights:
            self.weights |= dict.fromkeys(higher if self.weights else now, weights)
            self._highest |= higher
            self.best_epoch = epoch if "best" in higher else self.best_epoch
