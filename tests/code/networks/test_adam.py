"""Test the kernel of Adam against Keras's operations, on given gradients; other optimizers keep their own."""

import keras
import numpy as np
import pytest

from fitgap.networks.kernels import fast_adam

SHAPES = ((4, 3), (3,))


def weights_and_kernels(tensorflow, optimizer: keras.optimizers.Optimizer, is_on: bool) -> tuple[list, int]:
    """Return weights and moments after five updates, and the number of Adam's kernels."""
    random = np.random.default_rng(0)
    weights = [keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in SHAPES]
    optimizer.build(weights)

    @tensorflow.function(autograph=False)
    def update(*gradients):
        with fast_adam(optimizer, is_on=is_on):
            optimizer.apply(gradients, weights)

    for _ in range(5):
        gradients = [tensorflow.constant(random.normal(size=shape).astype(np.float32)) for shape in SHAPES]
        update(*gradients)
    operations = update.get_concrete_function(*gradients).graph.get_operations()
    kernels = sum(operation.type == "ResourceApplyAdam" for operation in operations)
    return [variable.numpy() for variable in (*weights, *optimizer.variables)], kernels


@pytest.mark.parametrize("build", [keras.optimizers.Adam, lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.5)])
def test_it_does_what_keras_does(tensorflow, build):
    expected, kernels = weights_and_kernels(tensorflow, build(0.01), is_on=False)
    assert kernels == 0
    found, kernels = weights_and_kernels(tensorflow, build(0.01), is_on=True)
    assert kernels == len(SHAPES)
    for ours, theirs in zip(found, expected, strict=True):
        # 1 - 0.999 in float32 is 0.00005 off: the kernel computes it, Keras multiplies by 0.001
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD(0.01), keras.optimizers.Adam(0.01, amsgrad=True)], ids=type)
def test_others_keep_their_own_operations(tensorflow, optimizer):
    assert weights_and_kernels(tensorflow, optimizer, is_on=True)[1] == 0


def test_keras_still_calls_what_is_overridden():
    """Should Keras move these, the kernel would silently do nothing, or fail."""
    assert callable(keras.optimizers.Adam.update_step)
    assert "update_step" not in vars(keras.optimizers.AdamW)
