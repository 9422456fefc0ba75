"""Test fused batch normalisation against Keras's: outputs, gradients and moving statistics, in every mode."""

import keras
import numpy as np
import pytest

from fitgap.networks.kernels import fused_batch_norm


def network_of(shape=(4, 6, 5), **options):
    inputs = keras.Input(shape)
    uneven = {"beta_initializer": "normal", "gamma_initializer": "random_uniform", "moving_mean_initializer": "normal"}
    normalisation = keras.layers.BatchNormalization(momentum=0.8, name="norm", **uneven, **options)
    return keras.Model(inputs, keras.layers.ReLU()(normalisation(inputs)))


def maps(shape=(4, 6, 5), count=7):
    return np.random.default_rng(0).normal(3.0, 2.0, (count, *shape)).astype(np.float32)


def results_and_kernels(tensorflow, network, inputs, training: bool) -> tuple[list[np.ndarray], int]:
    """Return outputs, gradients and statistics of one step with unchanged weights, and the number of fused kernels."""
    inputs, before = tensorflow.constant(inputs), network.get_weights()

    @tensorflow.function(autograph=False)
    def step():
        with tensorflow.GradientTape() as tape:
            tape.watch(inputs)
            outputs = network(inputs, training=training)
            objective = tensorflow.reduce_sum(outputs**2)
        return outputs, *tape.gradient(objective, [inputs, *network.trainable_variables])

    kernels = sum(one.type == "FusedBatchNormV3" for one in step.get_concrete_function().graph.get_operations())
    found = [tensor.numpy() for tensor in step()] + network.get_weights()
    network.set_weights(before)
    return found, kernels


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("trainable", "shape", "count"),
    [(True, (4, 6, 5), 7), (False, (4, 6, 5), 7), (True, (1, 1, 5), 1)],  # in the last, one number per channel
)
def test_it_does_what_keras_does(tensorflow, training, trainable, shape, count):
    network = network_of(shape, trainable=trainable)
    expected, kernels = results_and_kernels(tensorflow, network, maps(shape, count), training)
    assert kernels == 0
    with fused_batch_norm(network):
        found, kernels = results_and_kernels(tensorflow, network, maps(shape, count), training)
    assert kernels == 1
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("shape", "options"), [((5,), {}), ((4, 6, 5), {"axis": 1}), ((4, 6, 5), {"scale": False}), ((4, 5), {})]
)
def test_what_the_kernel_cannot_do_stays_with_keras(tensorflow, shape, options):
    network = network_of(shape, **options)
    expected, _ = results_and_kernels(tensorflow, network, maps(shape), True)
    with fused_batch_norm(network):
        found, kernels = results_and_kernels(tensorflow, network, maps(shape), True)
    assert kernels == 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bfloat16_keeps_statistics_in_float32(tensorflow):
    network = network_of(dtype="mixed_bfloat16")
    expected, _ = results_and_kernels(tensorflow, network, maps(), True)
    with fused_batch_norm(network):
        found, kernels = results_and_kernels(tensorflow, network, maps(), True)
    assert kernels == 1
    assert [array.dtype for array in found] == [array.dtype for array in expected]
    np.testing.assert_allclose(found[0].astype(np.float32), expected[0].astype(np.float32), atol=0.05)
