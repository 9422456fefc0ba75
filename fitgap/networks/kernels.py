"""Hand-written kernels: the same arithmetic as Keras's, equal to rounding, in fewer passes through memory.

Small convolutions. On a feature map with few positions and a kernel with many weights, as in VGG16's upper blocks on
small images, a convolution designed for large feature maps spends much of its time reordering the weights and their
gradient. The same result is one matrix multiplication of the patches, one row per position, with the weights in their
stored layout (im2col: Chellapilla, Puri & Simard, High Performance Convolutional Neural Networks for Document
Processing, 2006, hal:inria-00112631).

Batch normalisation. Keras runs it as about ten operations, each a pass over the whole feature map, and as many for the
gradient. TensorFlow's fused kernel needs two passes (Ioffe & Szegedy, Batch Normalization, 2015, arXiv:1502.03167).

Adam. Keras runs an update as a dozen operations per weight, each a pass over it. TensorFlow's kernel needs one pass.

Keras offers none of them. Updates from block5 on are 1.56 times as fast with the first two, scratch@batchnorm's 1.37,
pre-training's 1.14 (`make bench` on an AMD EPYC with AVX-512); a head's are 1.4 times as fast with Adam's (Intel Xeon,
AVX-512). `compute.hand_written_kernels: false` turns all off.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

import keras
import numpy as np
import tensorflow as tf


@contextmanager
def override_method(name: str, functions: Mapping[keras.Layer, Callable]) -> Iterator[None]:
    """Temporarily override method `name` on the given layers."""
    for layer, function in functions.items():
        setattr(layer, name, function)
    try:
        yield
    finally:
        for layer in functions:
            delattr(layer, name)


@contextmanager
def fast_kernels(network: keras.Model, *, is_on: bool) -> Iterator[None]:
    """Inside this context, traced functions run the network with hand-written kernels; if off, with Keras's own."""
    with ExitStack() as stack:
        if is_on:
            stack.enter_context(small_convolutions_as_matmul(network))
            stack.enter_context(fused_batch_norm(network))
        yield


LARGEST_SIDE = 4  # side in pixels; on larger feature maps, gathering the patches costs more than it saves
FEW_POSITIONS = 4  # positions; on larger feature maps, TensorFlow's transposed convolution computes the gradient faster


def small_convolutions_as_matmul(network: keras.Model) -> AbstractContextManager[None]:
    """Inside this context, traced functions run small convolutions as im2col matrix multiplications.

    Results are equal up to rounding.
    """
    functions = {layer: matmul_convolution for layer in network.layers if _is_small_convolution(layer)}
    return override_method("convolution_op", functions)  # Conv2D.call calls it


def _is_small_convolution(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.Conv2D) or max(layer.output.shape[1:3]) > LARGEST_SIDE:
        return False
    plain = {"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1), "groups": 1}
    odd = all(side % 2 for side in layer.kernel_size)
    return odd and all(getattr(layer, name) == value for name, value in plain.items())


def matmul_convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve with stride 1 and zero padding ("same"), as one im2col matrix multiplication.

    `inputs` are (n, height, width, channels), `kernel` is (rows, columns, channels, filters) with odd rows and columns,
    the outputs are (n, height, width, filters) with the dtype of `inputs`.
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
    """Return the im2col patches, one row per position: (n * height * width, rows * columns * channels)."""
    _, height, width, channels = maps.shape
    # Multiplying by a 0/1 matrix copies the values exactly, and is faster than a slice and a copy per tap.
    taps = tf.constant(_tap_matrix(height, width, rows, columns), maps.dtype)
    seen = tf.matmul(taps, tf.reshape(maps, (-1, height * width, channels)))
    return tf.reshape(seen, (-1, rows * columns * channels))


def _scatter_patches(seen: tf.Tensor, maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Add the patches back to the positions of the feature maps they came from (col2im, the adjoint of `_patches`).

    `seen` has the shape (rows * columns * channels, n * height * width): the result of multiplying the weights, in
    their stored layout, by the upstream gradient.
    """
    (rows, columns), (_, height, width, channels) = kernel.shape[:2], maps.shape
    by_map = tf.transpose(tf.reshape(seen, (rows * columns, channels, -1, height * width)), (2, 3, 0, 1))
    taps = tf.constant(_tap_matrix(height, width, rows, columns), maps.dtype)
    sums = tf.matmul(taps, tf.reshape(by_map, (-1, taps.shape[0], channels)), transpose_a=True)
    return tf.reshape(sums, (-1, height, width, channels))


def _tap_matrix(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Return a 0/1 matrix that maps positions to kernel taps: (positions * rows * columns, positions)."""
    padded = np.pad(np.eye(height * width).reshape(height, width, -1), [[rows // 2] * 2, [columns // 2] * 2, [0, 0]])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(0, 1))
    return seen.transpose(0, 1, 3, 4, 2).reshape(-1, height * width)


def fused_batch_norm(network: keras.Model) -> AbstractContextManager[None]:
    """Inside this context, traced functions run batch normalisation with the fused kernel, equal up to rounding."""
    functions = {layer: _fused_call(layer) for layer in network.layers if _is_fusible_batch_norm(layer)}
    return override_method("call", functions)


def _is_fusible_batch_norm(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.BatchNormalization) or len(layer.output.shape) != 4:
        return False
    return layer.axis in (-1, 3) and layer.scale and layer.center and not layer.synchronized


def _fused_call(layer: keras.layers.BatchNormalization) -> Callable:
    """Return a replacement for the layer's `call` on feature maps (n, height, width, channels).

    It also updates the moving statistics.
    """

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
            # The kernel returns the unbiased estimate, n / (n - 1) times the variance that Keras averages.
            count = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
            _update_average(layer.moving_mean, mean, layer.momentum)
            _update_average(layer.moving_variance, variance * (count - 1) / count, layer.momentum)
        return outputs

    return call


def fast_adam(optimizer: keras.optimizers.Optimizer, *, is_on: bool) -> AbstractContextManager[None]:
    """Inside this context, traced functions update weights with TensorFlow's kernel of Adam, equal up to rounding.

    Other optimizers keep their own operations. AdamW is Adam with one more step.
    """
    is_adam = isinstance(optimizer, keras.optimizers.Adam) and not optimizer.amsgrad
    return override_method("update_step", {optimizer: _adam_step(optimizer)} if is_on and is_adam else {})


def _adam_step(optimizer: keras.optimizers.Adam) -> Callable:
    """Return a replacement for the optimizer's `update_step`, for its next update of all weights."""
    updates = tf.cast(optimizer.iterations.value + 1, tf.float32)
    numbers = {"beta1": optimizer.beta_1, "beta2": optimizer.beta_2, "epsilon": optimizer.epsilon}
    numbers |= {f"beta{order}_power": tf.pow(numbers[f"beta{order}"], updates) for order in (1, 2)}

    def step(gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        moments = optimizer._momentums, optimizer._velocities
        first, second = (own[optimizer._get_variable_index(variable)].value.handle for own in moments)
        tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=first, v=second, lr=learning_rate, grad=gradient, **numbers)

    return step


def _update_average(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    average.assign(average * momentum + value * (1 - momentum))
