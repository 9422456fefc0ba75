"""Convolutions on maps of 2x2 pixels: dense products do what Keras's convolution does, where one is made of them."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def keras(tensorflow):
    import keras

    return keras


@pytest.fixture
def network(keras):
    """Two convolutions on maps of 4x4 pixels, and after a pooling two on 2x2, all with biases that are not zero."""
    x = inputs = keras.Input((4, 4, 5))
    for number, activation in enumerate(["relu", "relu", "relu", None]):
        x = keras.layers.Conv2D(6, 3, padding="same", activation=activation, bias_initializer="normal")(x)
        if number == 1:
            x = keras.layers.MaxPooling2D()(x)
    return keras.Model(inputs, x)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(7, 4, 4, 5)).astype(np.float32)


def traced(tensorflow, network):
    signature = tensorflow.TensorSpec((None, *network.input_shape[1:]), network.inputs[0].dtype)
    return tensorflow.function(lambda maps: network(maps), autograph=False).get_concrete_function(signature)


def products(function) -> int:
    return sum(operation.type == "MatMul" for operation in function.graph.get_operations())


def test_outputs_are_those_of_keras(tensorflow, network, maps):
    from fitgap.backbone import dense_maps

    expected = network(maps)
    with dense_maps.as_dense(network):
        dense = traced(tensorflow, network)
    assert products(dense) == 2
    np.testing.assert_allclose(dense(tensorflow.constant(maps)), expected, rtol=1e-5, atol=1e-5)


def test_network_is_itself_again_afterwards(tensorflow, network, maps):
    from fitgap.backbone import dense_maps

    expected, before = network(maps), network.to_json()
    with pytest.raises(ZeroDivisionError), dense_maps.as_dense(network):
        1 / 0  # noqa: B018
    assert products(traced(tensorflow, network)) == 0
    np.testing.assert_array_equal(network(maps), expected)
    assert network.to_json() == before


@pytest.mark.parametrize(("image_size", "expected"), [(32, 3), (48, 0), (64, 0)])
def test_extraction_takes_block5_densely_on_small_images(tensorflow, tmp_path, image_size, expected):
    from fitgap.backbone import features, vgg16

    vgg16.convolutional_base(None, image_size).save_weights(tmp_path / "vgg16.weights.h5")
    step = features.forward(tmp_path / "vgg16.weights.h5", image_size, ["block5_pool"], "float32")
    assert products(step.get_concrete_function()) == expected
