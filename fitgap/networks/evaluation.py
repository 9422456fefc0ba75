"""Measure cross-entropy and accuracy as a user of the model would see them: inference mode, no penalty terms.

Keras's own training metrics are means over the epoch, with dropout on and penalties added. Curves of those metrics
do not show the gap between training and validation.
"""

import math
from collections.abc import Callable
from functools import cached_property

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from fitgap.networks.kernels import fast_kernels

MEASURED = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "penalty", "weight_norm")
BATCH = 512  # inputs per step; results do not depend on it beyond rounding
LARGE = 2**14  # values per input; larger inputs get smaller batches: 512 photographs of 224x224 would need 7 GB


class Evaluator:
    """Evaluate one network, compiled once.

    Parameters
    ----------
    network : model that returns logits; `outputs` accepts any model
    largest : largest image shape inside the network, if it enlarges its inputs
    fast : whether to use hand-written kernels
    """

    def __init__(self, network: keras.Model, largest: tuple[int, ...] | None = None, fast: bool = True):
        self._fast = fast
        self.network = network
        self.batch_size = max(1, min(BATCH, BATCH * LARGE // math.prod(largest or network.input_shape[1:])))
        # There is no control flow to convert, and autograph would leave files in the temporary folder.
        self._outputs = tf.function(self._answers, input_signature=[input_spec(network)], autograph=False)

    @cached_property
    def _measure(self) -> Callable[..., list[tf.Tensor]]:
        labels, position = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)
        compiled = tf.function(self._measured, autograph=False)
        return compiled.get_concrete_function(input_spec(self.network), labels, position, position)

    def measure(
        self, inputs: tf.Tensor, labels: tf.Tensor, training: int, first: int = 0
    ) -> tuple[dict[str, float], list[tf.Tensor]]:
        """Return each of MEASURED, and the weights; TensorFlow copies those that are still in use at the next update.

        Measured are cross-entropy (nats) and accuracy of two splits, the penalty and the norm of the weights. The
        training examples are the first `training` rows, the validation examples all others. Rows before `first` are
        left out; a split without rows has NaN.
        """
        measured, *weights = self._measure(inputs, labels, tf.constant(training), tf.constant(first))
        return dict(zip(MEASURED, measured.numpy().tolist(), strict=True)), weights

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return the network's outputs in inference mode, float32 (n, classes)."""
        starts = range(0, len(inputs), self.batch_size)
        return np.concatenate([self._outputs(inputs[start : start + self.batch_size]).numpy() for start in starts])

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return class probabilities (softmax of the network's logits), float32 (n, classes)."""
        return scipy.special.softmax(self.outputs(inputs), axis=1)

    def _answers(self, inputs):
        with fast_kernels(self.network, is_on=self._fast):
            return self.network(inputs, training=False)

    def _measured(self, inputs, labels, training, first):
        count, sums = tf.shape(labels)[0], tf.zeros((2, 2), tf.float64)

        def add_batch(start, sums):
            rows = slice(start, start + self.batch_size)
            losses, right = self._losses(inputs[rows], labels[rows])
            split = tf.cast(tf.range(start, start + tf.size(losses)) >= training, tf.int32)
            values = tf.cast(tf.stack([losses, right], axis=1), tf.float64)
            return start + self.batch_size, sums + tf.math.unsorted_segment_sum(values, split, 2)

        sums = tf.while_loop(lambda start, _: start < count, add_batch, (first, sums), parallel_iterations=1)[1]
        sizes = tf.stack([training - first, count - training])
        means = sums / tf.cast(sizes, tf.float64)[:, None]
        others = tf.cast([penalty(self.network), weight_norm(self.network)], tf.float64)
        weights = [weight.value.read_value() for weight in self.network.weights]
        return tf.concat([tf.reshape(means, [-1]), others], axis=0), *weights

    def _losses(self, inputs, labels):
        logits = tf.cast(self._answers(inputs), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return losses, tf.cast(tf.equal(tf.argmax(logits, axis=1), labels), tf.float32)


def input_spec(network: keras.Model) -> tf.TensorSpec:
    """Return the type of any number of a network's inputs."""
    return tf.TensorSpec((None, *network.input_shape[1:]), network.inputs[0].dtype)


def penalty(network: keras.Model) -> tf.Tensor:
    """Return the sum of the regularisation terms at the network's current weights."""
    return tf.add_n([tf.constant(0.0), *network.losses])


def weight_norm(network: keras.Model) -> tf.Tensor:
    """Return the Euclidean norm of all trainable kernels together (without biases, scales or shifts)."""
    kernels = [weight for weight in network.trainable_weights if weight.name == "kernel"]
    return tf.linalg.global_norm([kernel.value for kernel in kernels])
