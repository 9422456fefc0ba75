"""Measure cross-entropy and accuracy as a user of the model would see them: inference mode, no penalty terms.

Keras's own training metrics are means over the epoch, with dropout on and penalties added. Curves of those metrics
do not show the gap between training and validation.
"""

import math
from collections.abc import Iterator

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from fitgap.networks.kernels import fast_kernels

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
        inputs = tf.TensorSpec((None, *network.input_shape[1:]), network.inputs[0].dtype)
        labels = tf.TensorSpec((None,), tf.int64)
        # There is no control flow to convert, and autograph would leave files in the temporary folder.
        options = {"autograph": False}
        self._sums = tf.function(self._batch_sums, input_signature=[inputs, labels], **options)
        self._outputs = tf.function(self._answers, input_signature=[inputs], **options)

    def loss_and_accuracy(self, inputs: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """Return the mean cross-entropy (nats) and the accuracy over all inputs."""
        sums = [self._sums(x, y) for x, y in zip(self._batches(inputs), self._batches(labels), strict=True)]
        loss, right = np.sum(sums, axis=0, dtype=np.float64) / len(labels)
        return float(loss), float(right)

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Return the network's outputs in inference mode, float32 (n, classes)."""
        return np.concatenate([self._outputs(batch).numpy() for batch in self._batches(inputs)])

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return class probabilities (softmax of the network's logits), float32 (n, classes)."""
        return scipy.special.softmax(self.outputs(inputs), axis=1)

    def _batches(self, array: np.ndarray) -> Iterator[np.ndarray]:
        return (array[start : start + self.batch_size] for start in range(0, len(array), self.batch_size))

    def _answers(self, inputs):
        with fast_kernels(self.network, is_on=self._fast):
            return self.network(inputs, training=False)

    def _batch_sums(self, inputs, labels):
        logits = tf.cast(self._answers(inputs), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.equal(tf.argmax(logits, axis=1), labels)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))


def penalty(network: keras.Model) -> float:
    """Return the sum of the regularisation terms at the network's current weights."""
    return float(sum(float(term) for term in network.losses))


def weight_norm(network: keras.Model) -> float:
    """Return the Euclidean norm of all trainable kernels together (without biases, scales or shifts)."""
    kernels = [weight for weight in network.trainable_weights if weight.name == "kernel"]
    return float(np.sqrt(sum(float(tf.reduce_sum(tf.square(kernel.value))) for kernel in kernels)))
