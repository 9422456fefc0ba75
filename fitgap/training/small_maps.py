"""Convolutions on small maps as matrix products, while a network is trained.

Where a map has few positions and a kernel many weights, as in VGG16's upper blocks on small images, a convolution
made for large maps spends much of its time on bringing the weights into its own order, and their gradient back. The
same sums are a product of the maps' patches, a row per position, with the weights as they lie (Chellapilla, Puri &
Simard, High Performance Convolutional Neural Networks for Document Processing, 2006, hal:inria-00112631).
"""

import math
from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

from fitgap import layer_functions

LARGEST = 4  # side in pixels; larger maps have so many patches that to gather them costs more than it saves
FEW = 4  # positions; of larger maps TensorFlow's own convolution gives the gradient sooner


def as_products(network: keras.Model) -> AbstractContextManager[None]:
    """Let what is traced meanwhile compute a network's convolutions on small maps as products, equal to rounding."""
    functions = {layer: convolution for layer in network.layers if _qualifies(layer)}
    return layer_functions.replaced("convolution_op", functions)  # which is what Keras's Conv2D calls


def _qualifies(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.Conv2D) or max(layer.output.shape[1:3]) > LARGEST:
        return False
    plain = {"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1), "groups": 1}
    odd = all(side % 2 for side in layer.kernel_size)
    return odd and all(getattr(layer, name) == value for name, value in plain.items())


def convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve (n, height, width, channels) with (rows, columns, channels, filters), zeros beyond the borders.

    Rows and columns are odd numbers. Gives (n, height, width, filters), the type of the inputs.
    """
    kernel = tf.convert_to_tensor(kernel)
    return _product(inputs, kernel)


@tf.custom_gradient
def _product(inputs, kernel):
    filters, patches = kernel.shape[-1], _patches(inputs, *kernel.shape[:2])
    flat = tf.reshape(kernel, (-1, filters))

    def gradients(upstream):
        sent = tf.reshape(upstream, (-1, filters))
        of_kernel = tf.matmul(patches, sent, transpose_a=True)
        if math.prod(inputs.shape[1:3]) <= FEW:
            of_inputs = _gathered(tf.matmul(flat, sent, transpose_b=True), inputs, kernel)
        else:
            of_inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(inputs), strides=1)
        return of_inputs, tf.reshape(of_kernel, kernel.shape)

    return tf.reshape(tf.matmul(patches, flat), (-1, *inputs.shape[1:3], filters)), gradients


def _patches(maps: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Give what a kernel sees at each position, one row each: (n * height * width, rows * columns * channels)."""
    _, height, width, channels = maps.shape
    # One product with zeros and ones copies them to the bit, quicker than a slice and a copy for each tap.
    taps = tf.constant(_taps(height, width, rows, columns), maps.dtype)
    seen = tf.matmul(taps, tf.reshape(maps, (-1, height * width, channels)))
    return tf.reshape(seen, (-1, rows * columns * channels))


def _gathered(seen: tf.Tensor, maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Sum up at each position of `maps` what all patches hold of it: the reverse of `_patches`.

    `seen` is (rows * columns * channels, n * height * width), which is how a product with the weights as they lie
    gives it.
    """
    (rows, columns), (_, height, width, channels) = kernel.shape[:2], maps.shape
    by_map = tf.transpose(tf.reshape(seen, (rows * columns, channels, -1, height * width)), (2, 3, 0, 1))
    taps = tf.constant(_taps(height, width, rows, columns), maps.dtype)
    sums = tf.matmul(taps, tf.reshape(by_map, (-1, taps.shape[0], channels)), transpose_a=True)
    return tf.reshape(sums, (-1, height, width, channels))


def _taps(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Say with a one which position each tap of a kernel sees: (positions * rows * columns, positions)."""
    padded = np.pad(np.eye(height * width).reshape(height, width, -1), [[rows // 2] * 2, [columns // 2] * 2, [0, 0]])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(0, 1))
    return seen.transpose(0, 1, 3, 4, 2).reshape(-1, height * width)
