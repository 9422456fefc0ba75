"""Test that the switch disables all hand-written kernels, and that the Keras methods they override still exist."""

import inspect

import keras
import pytest

from fitgap.networks.kernels import fast_kernels


@pytest.fixture(scope="module")
def network(tensorflow):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Conv2D(5, 3, padding="same"), layers.BatchNormalization(), layers.Flatten()]
    )


def overridden(network: keras.Model) -> list[tuple[str, str]]:
    names = ("call", "convolution_op")
    return [(type(layer).__name__, name) for layer in network.layers for name in names if name in vars(layer)]


@pytest.mark.parametrize(
    ("is_on", "expected"), [(True, [("Conv2D", "convolution_op"), ("BatchNormalization", "call")]), (False, [])]
)
def test_switch(network, is_on, expected):
    with pytest.raises(ZeroDivisionError), fast_kernels(network, is_on=is_on):
        assert overridden(network) == expected
        1 / 0  # noqa: B018
    assert overridden(network) == []


def test_keras_still_calls_what_is_overridden():
    """Both are public methods; should Keras move them, the kernels would silently do nothing."""
    assert "self.convolution_op(" in inspect.getsource(keras.layers.Conv2D.call)
    assert callable(keras.layers.BatchNormalization.call)
    attributes = ("gamma", "beta", "moving_mean", "moving_variance", "momentum", "epsilon", "synchronized")
    layer = keras.layers.BatchNormalization()
    layer.build((None, 4, 4, 3))
    assert all(hasattr(layer, name) for name in attributes)
