"""Test im2col convolutions on small feature maps against Keras's convolution; they are used in training only."""

import keras
import numpy as np
import pytest

from fitgap.networks import kernels


def network_of(size, **options):
    inputs = keras.Input((*size, 5))
    convolution = keras.layers.Conv2D(
        **{"filters": 7, "kernel_size": 3, "padding": "same", **options}, name="convolution"
    )
    return keras.Model(inputs, convolution(inputs))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 4), (4, 4)])
@pytest.mark.parametrize("kernel", [1, 3, (5, 3)])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_outputs_and_gradients_are_those_of_keras(tensorflow, size, kernel, activation):
    network = network_of(size, kernel_size=kernel, activation=activation)
    maps = tensorflow.constant(np.random.default_rng(0).normal(size=(6, *size, 5)).astype(np.float32))

    @tensorflow.function(autograph=False)
    def outputs_and_gradients():
        with tensorflow.GradientTape() as tape:
            tape.watch(maps)
            outputs = network(maps, training=True)
            objective = tensorflow.reduce_sum(outputs**2)
        return outputs, *tape.gradient(objective, [maps, *network.trainable_variables])

    expected = outputs_and_gradients()
    with kernels.small_convolutions_as_matmul(network):
        found = tensorflow.function(outputs_and_gradients.python_function, autograph=False)()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def operations_of(tensorflow, size, **options) -> set[str]:
    network = network_of(size, **options)
    with kernels.small_convolutions_as_matmul(network):
        traced = tensorflow.function(lambda maps: network(maps), autograph=False).get_concrete_function(
            tensorflow.TensorSpec((None, *size, 5))
        )
    return {operation.type for operation in traced.graph.get_operations()}


def test_small_maps_are_multiplied(tensorflow):
    assert "MatMul" in operations_of(tensorflow, (2, 2))


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((2, 5), {}),
        ((4, 4), {"strides": 2}),
        ((4, 4), {"padding": "valid"}),
        ((4, 4), {"dilation_rate": 2}),
        ((4, 4), {"kernel_size": 2}),
        ((4, 4), {"groups": 5, "filters": 5}),
    ],
)
def test_other_convolutions_stay_what_they_are(tensorflow, size, options):
    assert "MatMul" not in operations_of(tensorflow, size, **options)
