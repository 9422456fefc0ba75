"""The last block of VGG16 on small images: convolutions on maps of 2x2 pixels, as dense layers.

On a map of 2x2 pixels a kernel of 3x3 reaches every pixel from every pixel, and with 20 of its 36 taps zeros beyond
the border, which a convolution multiplies all the same. As one product, from all numbers of a map to all of its
outputs, nothing but the other 16 is left.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

from fitgap import layer_functions

SIDE = 2  # pixels; on maps of 3x3 dense products would need more sums than convolutions do: 81 taps for 81


def as_dense(network: keras.Model) -> AbstractContextManager[None]:
    """Let what is traced meanwhile compute a network's convolutions on maps of 2x2 pixels densely, equal to rounding.

    The weights are taken over as they are now: for networks that are not trained.
    """
    return layer_functions.replaced("call", {layer: _dense(layer) for layer in network.layers if _qualifies(layer)})


def _qualifies(layer: keras.Layer) -> bool:
    """Tell whether it is one of VGG16's convolutions, all 3x3, and sees a map of 2x2 pixels."""
    return isinstance(layer, keras.layers.Conv2D) and tuple(layer.output.shape[1:3]) == (SIDE, SIDE)


def _dense(layer: keras.layers.Conv2D) -> Callable[[tf.Tensor], tf.Tensor]:
    """Give the whole layer, with bias and activation, for maps of 2x2 pixels: (n, 2, 2, in) to (n, 2, 2, out)."""
    kernel, bias = (np.asarray(variable, np.float32) for variable in layer.variables)
    weights = tf.cast(matrix(kernel), layer.compute_dtype)
    biases = tf.cast(np.tile(bias, SIDE**2), layer.compute_dtype)

    def call(inputs: tf.Tensor) -> tf.Tensor:
        product = tf.matmul(tf.reshape(inputs, (-1, len(weights))), weights)
        outputs = layer.activation(tf.nn.bias_add(product, biases))  # in one kernel with the product
        return tf.reshape(outputs, (-1, SIDE, SIDE, len(bias)))

    return call


def matrix(kernel: np.ndarray) -> np.ndarray:
    """Write a kernel of 3x3 pixels, (3, 3, in, out), as (4 * in, 4 * out): from a map of 2x2 pixels to its outputs."""
    tap = 1 + np.arange(SIDE)[:, None] - np.arange(SIDE)  # of the input at a row, for the output at a row
    taps = kernel[tap[:, None, :, None], tap[None, :, None, :]]  # row, column of input; of output; in, out
    return taps.transpose(0, 1, 4, 2, 3, 5).reshape(SIDE**2 * kernel.shape[2], SIDE**2 * kernel.shape[3])
