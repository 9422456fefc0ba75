"""Hand-written kernels: the same arithmetic as Keras's, equal to rounding, in fewer passes through memory.

Small convolutions. On a feature map with few positions and a kernel with many weights, as in VGG16's upper blocks on
small images, a convolution made for large feature maps spends much of its time on reordering the weights and their
gradient. The same sums are one matrix multiplication of the patches, a row per position, with the weights as they are
stored (im2col: Chellapilla, Puri & Simard, High Performance Convolutional Neural Networks for Document Processing,
2006, hal:inria-00112631).

Batch normalisation. Keras writes it as some ten operations, each of which goes through the whole feature map, and as
many for the gradient. TensorFlow's fused kernel needs two passes (Ioffe & Szegedy, Batch Normalization, 2015,
arXiv:1502.03167).

No library does it: Keras offers neither, and oneDNN picks a direct convolution for these shapes. On two cores of an
Intel Xeon with AVX-512 each of the two saves 8% of the default pipeline (34 s of 438 s), and VGG16's pre-training takes
1.33 times as long without either; fine-tuning from block4 takes 1.55 times as long without the first. `make bench`
measures both. `compute.hand_written_kernels: false` turns them off.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

import keras
import numpy as np
import tensorflow as tf


@contextmanager
def override_method(name: str, functions: Mapping[keras.Layer, Callable]) -> Iterator[None]:
    """Let each of these layers, and no other, have a function of its own for its method of that name."""
    for layer, function in functions.items():
        setattr(layer, name, function)
    try:
        yield
    finally:
        for layer in functions:
            delattr(layer, name)


@contextmanager
def fast_kernels(network: keras.Model, *, is_on: bool, training: bool) -> Iterator[None]:
    """Inside this context, traced functions run the network with hand-written kernels.

    Parameters
    ----------
    is_on : False leaves Keras's own operations in place
    training : whether gradients are taken; small convolutions pay only there
    """
    with ExitStack() as stack:
        if is_on and training:
            stack.enter_context(small_convolutions_as_matmul(network))
        if is_on:
            stack.enter_context(fused_batch_norm(network))
        yield


LARGEST_SIDE = 4  # side in pixels; larger maps have so many patches that to gather them costs more than it saves
FEW_POSITIONS = 4  # positions; of larger maps TensorFlow's own convolution gives the gradient sooner


def small_convolutions_as_matmul(network: keras.Model) -> AbstractContextManager[None]:
    """Let what is traced meanwhile compute a network's convolutions on small maps as products, equal to rounding."""
    functions = {layer: matmul_convolution for layer in network.layers if _is_small_convolution(layer)}
    return override_method("convolution_op", functions)  # which is what Keras's Conv2D calls


def _is_small_convolution(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.Conv2D) or max(layer.output.shape[1:3]) > LARGEST_SIDE:
        return False
    plain = {"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1), "groups": 1}
    odd = all(side % 2 for side in layer.kernel_size)
    return odd and all(getattr(layer, name) == value for name, value in plain.items())


def matmul_convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve (n, height, width, channels) with (rows, columns, channels, filters), zeros beyond the borders.

    Rows and columns are odd numbers. Gives (n, height, width, filters), the type of the inputs.
    """
    kernel = tf.convert_to_tensor(kernel)
    return _matmul_convolution(inputs, kernel)


@tf.custom_gradient
def _matmul_convolution(inputs, kernel):
    filters, patches = kernel.shape[-1], _patches(inputs, *kernel.shape[:2])
    flat = tf.reshape(kernel, (-1, filters))

    def gradients(upstream):
        sent = tf.reshape(upstream, (-1, filters))
        of_kernel = tf.matmul(patches, sent, transpose_a=True)
        if math.prod(inputs.shape[1:3]) <= FEW_POSITIONS:
            of_inputs = _scatter_patches(tf.matmul(flat, sent, transpose_b=True), inputs, kernel)
        else:
            of_inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(inputs), strides=1)
        return of_inputs, tf.reshape(of_kernel, kernel.shape)

    return tf.reshape(tf.matmul(patches, flat), (-1, *inputs.shape[1:3], filters)), gradients


def _patches(maps: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Give what a kernel sees at each position, one row each: (n * height * width, rows * columns * channels)."""
    _, height, width, channels = maps.shape
    # One product with zeros and ones copies them to the bit, quicker than a slice and a copy for each tap.
    taps = tf.constant(_tap_matrix(height, width, rows, columns), maps.dtype)
    seen = tf.matmul(taps, tf.reshape(maps, (-1, height * width, channels)))
    return tf.reshape(seen, (-1, rows * columns * channels))


def _scatter_patches(seen: tf.Tensor, maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Sum up at each position of `maps` what all patches hold of it: the reverse of `_patches`.

    `seen` is (rows * columns * channels, n * height * width), which is how a product with the weights as they lie
    gives it.
    """
    (rows, columns), (_, height, width, channels) = kernel.shape[:2], maps.shape
    by_map = tf.transpose(tf.reshape(seen, (rows * columns, channels, -1, height * width)), (2, 3, 0, 1))
    taps = tf.constant(_tap_matrix(height, width, rows, columns), maps.dtype)
    sums = tf.matmul(taps, tf.reshape(by_map, (-1, taps.shape[0], channels)), transpose_a=True)
    return tf.reshape(sums, (-1, height, width, channels))


def _tap_matrix(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Say with a one which position each tap of a kernel sees: (positions * rows * columns, positions)."""
    padded = np.pad(np.eye(height * width).reshape(height, width, -1), [[rows // 2] * 2, [columns // 2] * 2, [0, 0]])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(0, 1))
    return seen.transpose(0, 1, 3, 4, 2).reshape(-1, height * width)


def fused_batch_norm(network: keras.Model) -> AbstractContextManager[None]:
    """Let what is traced meanwhile normalise a network's maps by the fused kernel, equal to rounding."""
    functions = {layer: _fused_call(layer) for layer in network.layers if _is_fusible_batch_norm(layer)}
    return override_method("call", functions)


def _is_fusible_batch_norm(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.BatchNormalization) or len(layer.output.shape) != 4:
        return False
    return layer.axis in (-1, 3) and layer.scale and layer.center and not layer.synchronized


def _fused_call(layer: keras.layers.BatchNormalization) -> Callable:
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
            _update_average(layer.moving_mean, mean, layer.momentum)
            _update_average(layer.moving_variance, variance * (count - 1) / count, layer.momentum)
        return outputs

    return call


def _update_average(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    average.assign(average * momentum + value * (1 - momentum))
