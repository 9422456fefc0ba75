"""Convolutions on small maps as matrix products, while a network is trained.

Where a map has few positions and a kernel many weights, as in VGG16's upper blocks on small images, a convolution
made for large maps spends much of its time on bringing the weights into its own order, and their gradient back. The
same sums are a product of the maps' patches, a row per position, with the weights as they lie (Chellapilla, Puri &
Simard, High Performance Convolutional Neural Networks for Document Processing, 2006, hal:inria-00112631).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

LARGEST = 4  # side in pixels; larger maps have so many patches that to gather them costs more than it saves


@contextmanager
def as_products(network: keras.Model) -> Iterator[None]:
    """Let what is traced meanwhile compute a network's convolutions on small maps as products, equal to rounding."""
    layers = [layer for layer in network.layers if _qualifies(layer)]
    for layer in layers:
        layer.convolution_op = convolution  # what Keras's Conv2D calls; on this layer alone
    try:
        yield
    finally:
        for layer in layers:
            del layer.convolution_op


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

    def gradients(upstream):
        of_kernel = tf.matmul(patches, tf.reshape(upstream, (-1, filters)), transpose_a=True)
        of_inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(inputs), strides=1)
        return of_inputs, tf.reshape(of_kernel, kernel.shape)

    outputs = tf.matmul(patches, tf.reshape(kernel, (-1, filters)))
    return tf.reshape(outputs, (-1, *inputs.shape[1:3], filters)), gradients


def _patches(maps: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Give what a kernel sees at each position, one row each: (n * height * width, rows * columns * channels)."""
    _, height, width, channels = maps.shape
    padded = tf.pad(maps, [[0, 0], [rows // 2] * 2, [columns // 2] * 2, [0, 0]])
    seen = [padded[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return tf.reshape(tf.concat(seen, axis=-1), (-1, rows * columns * channels))
