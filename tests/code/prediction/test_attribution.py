"""Test the attribution of answers to pixels: exact for a linear network, complete, and dependent on the weights."""

import numpy as np
import pytest

from fitgap.data.prepared import read_prepared
from fitgap.report.mistakes import Question
from fitgap.system.errors import UserError

SIZE, CLASSES = 32, 4


@pytest.fixture(scope="module")
def attribution(tensorflow):
    from fitgap.prediction import attribution

    return attribution


def network(weights: np.ndarray, hidden: int = 0):
    """Return a network from uint8 images to probabilities: linear, or with a hidden layer of random weights."""
    import keras

    images = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    if hidden:
        x = keras.layers.Dense(hidden, "relu", kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    last = keras.layers.Dense(CLASSES, use_bias=False)
    x = last(x)
    last.set_weights([weights])
    return keras.Model(images, keras.layers.Softmax()(x))


def log_odds(model, images: np.ndarray, pair) -> np.ndarray:
    logarithms = np.log(model.predict(images, verbose=0))
    return logarithms[:, pair[0]] - logarithms[:, pair[1]]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3), dtype=np.uint8)


def test_of_a_linear_network_attributions_are_its_weights_times_the_change(attribution, images):
    weights = np.random.default_rng(1).normal(size=(SIZE * SIZE * 3, CLASSES)).astype(np.float32)
    others = np.repeat(images[:1], 5, axis=0)
    found = attribution.attribute(network(weights), images[1:3], np.array([[2, 0], [1, 3]]), others)
    for image, pair, attributions in zip(images[1:3], ([2, 0], [1, 3]), found, strict=True):
        change = (image.astype(float) - others[0]) / 255
        slope = (weights[:, pair[0]] - weights[:, pair[1]]).reshape(SIZE, SIZE, 3)
        np.testing.assert_allclose(attributions, (slope * change).sum(axis=-1), rtol=1e-3, atol=1e-3)


def test_attributions_add_up_to_the_difference_from_the_images_compared_with(attribution, images):
    weights = np.random.default_rng(2).normal(size=(16, CLASSES)).astype(np.float32)
    model, pair = network(weights, hidden=16), np.array([[0, 1]])
    white, others = np.full_like(images[:1], 255), images[:32]  # as many as it compares with
    found = attribution.attribute(model, white, pair, others)
    expected = float(log_odds(model, white, pair[0])[0] - log_odds(model, others, pair[0]).mean())
    assert abs(expected) > 1
    assert float(found.sum()) == pytest.approx(expected, rel=0.1)


def test_attributions_depend_on_the_weights_and_on_nothing_random(attribution, images):
    """Other weights, another map: Adebayo et al., Sanity Checks for Saliency Maps, 2018, arXiv:1810.03292."""
    drawn = [np.random.default_rng(seed).normal(size=(16, CLASSES)).astype(np.float32) for seed in (3, 4)]
    pair = np.array([[0, 1]])
    one, again, other = (
        attribution.attribute(network(weights, hidden=16), images[:1], pair, images[1:]).ravel()
        for weights in (drawn[0], drawn[0], drawn[1])
    )
    np.testing.assert_array_equal(one, again)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.9


@pytest.mark.parametrize("name", ["scratch@baseline", "scratch@remedied", "head@baseline", "finetune@block5_conv3"])
def test_every_family_can_be_explained(attribution, trained, name):
    images = read_prepared(trained / "data/prepared").part("test")[0]
    asked = [Question(0, 0, 1, 0.9, True), Question(3, 1, 0, 0.8, False)]
    found = attribution.attribute_answers(name, asked, trained)
    assert found.shape == (2, *images.shape[1:3]) and np.isfinite(found).all() and found.std() > 0


def test_a_model_without_weights_is_refused_in_one_line(attribution, copied):
    for file in (copied / "models/scratch/baseline").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="scratch@baseline: its weights are not in .*models/scratch/baseline"):
        attribution.attribute_answers("scratch@baseline", [Question(0, 0, 1, 0.9, True)], copied)
