"""Adam in one kernel does what Keras's Adam does."""

import numpy as np
import pytest


def moved(tensorflow, optimizer, gradients) -> list[np.ndarray]:
    """Give weights and state after an update with each of `gradients`, compiled as in training."""
    import keras

    weights = [keras.Variable(np.ones(gradient.shape, np.float32)) for gradient in gradients[0]]
    optimizer.build(weights)

    @tensorflow.function(autograph=False)
    def update(*given):
        optimizer.apply(list(given), weights)

    for given in gradients:
        update(*(tensorflow.constant(gradient) for gradient in given))
    return [variable.numpy() for variable in [*weights, *optimizer.variables]]


@pytest.mark.parametrize("decaying", [False, True])
def test_updates_and_state_are_those_of_keras(tensorflow, decaying):
    import keras

    from fitgap.training.adam import Adam

    rng = np.random.default_rng(0)
    gradients = [[rng.normal(0, scale, (4, 3)).astype(np.float32) for scale in (1e-6, 1.0)] for _ in range(20)]
    ends = []
    for kind in (Adam, keras.optimizers.Adam):
        rate = keras.optimizers.schedules.CosineDecay(0.0, 15, warmup_target=0.1, warmup_steps=5) if decaying else 0.01
        ends.append(moved(tensorflow, kind(rate), gradients))
    assert np.abs(ends[0][0] - 1).min() > 1e-3, "nothing moved, so nothing was compared"
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-12)
