"""Batch normalisation of maps in one kernel.

Keras writes it as some ten operations, each of which goes through all of a map's memory, and their gradients as many
more; TensorFlow's own kernel goes through it twice (Ioffe & Szegedy, Batch Normalization, 2015, arXiv:1502.03167). In
inference mode TensorFlow joins it with the convolution before it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from fitgap import layer_functions


def fused(network: keras.Model) -> AbstractContextManager[None]:
    """Let what is traced meanwhile normalise a network's maps by the fused kernel, equal to rounding."""
    functions = {layer: _in_one_kernel(layer) for layer in network.layers if _qualifies(layer)}
    return layer_functions.replaced("call", functions)


def _qualifies(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.BatchNormalization) or len(layer.output.shape) != 4:
        return False
    return layer.axis in (-1, 3) and layer.scale and layer.center and not layer.synchronized


def _in_one_kernel(layer: keras.layers.BatchNormalization) -> Callable:
    """Give the whole layer, with the update of its moving statistics, for maps (n, height, width, channels)."""

    def call(inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        learning = bool(training) and layer.trainable
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=layer.gamma.value,
            offset=layer.beta.value,
            mean=layer.moving_mean.value,
            variance=layer.moving_variance.value,
            epsilon=layer.epsilon,
            is_training=learning,
        )
        if learning:
            # The kernel gives the unbiased estimate, n / (n - 1) times the variance that Keras averages.
            count = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
            _move(layer.moving_mean, mean, layer.momentum)
            _move(layer.moving_variance, variance * (count - 1) / count, layer.momentum)
        return outputs

    return call


def _move(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    average.assign(average * momentum + value * (1 - momentum))
