"""Test pre-training: it learns, is bitwise reproducible, and yields a plain VGG16."""

import numpy as np
import pytest

from fitgap.params.sections import Glyphs

SMALL = Glyphs(images=36, batch_size=8, learning_rate=0.001, threads="all")
pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def network(tensorflow):
    """Return a network with batch normalisation parameters far from their initial 1, 0, 0, 1."""
    from fitgap.networks import batch_normalised

    random = np.random.default_rng(0)
    network = batch_normalised.build_batch_normalised(32, 5, seed=0)
    for layer in network.layers:
        if layer.name.endswith("_norm"):
            gamma, beta, mean, variance = (weight.shape for weight in layer.get_weights())
            scales = random.uniform(0.5, 1.5, gamma), random.uniform(0.5, 2.0, variance)
            shifts = random.normal(0, 0.3, beta), random.normal(0, 0.3, mean)
            layer.set_weights([scales[0], *shifts, scales[1]])
    return network


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)


def sides(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a task that a few updates suffice for: which half of a noisy image is bright."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    images = random.integers(0, 60, (count, 32, 32, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 16 * label : 16 * label + 16] += 150
    return images, labels


def preprocessed(images: np.ndarray) -> np.ndarray:
    import keras

    return keras.applications.vgg16.preprocess_input(images.astype(np.float32))


def test_folding_keeps_the_function_and_leaves_the_network_alone(network, images):
    from fitgap.backbone import pretraining
    from fitgap.networks import batch_normalised

    before = network.get_weights()
    base, kernel, bias = batch_normalised.fold_batch_norm(network)
    expected = network(images, training=False).numpy()
    features = base(preprocessed(images)).numpy().reshape(len(images), -1)
    assert features.shape[1] == kernel.shape[0] == 512
    np.testing.assert_allclose(features @ kernel + bias, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(pretraining.folded_answers(base, kernel, bias, images), expected.argmax(axis=1))
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_keras_loads_the_folded_weights_as_its_own_vgg16(network, images, tmp_path):
    import keras

    from fitgap.networks import batch_normalised

    base, _, _ = batch_normalised.fold_batch_norm(network)
    base.save_weights(tmp_path / "notop.weights.h5")
    loaded = keras.applications.VGG16(
        include_top=False, weights=str(tmp_path / "notop.weights.h5"), input_shape=(32, 32, 3)
    )
    features = base(preprocessed(images)).numpy()
    assert features.std() > 0
    np.testing.assert_array_equal(loaded(preprocessed(images)).numpy(), features)


def test_it_learns_and_tells_how():
    from fitgap.backbone import pretraining
    from fitgap.networks import batch_normalised

    network, history = pretraining.pretrain(*sides(323, seed=0), 2, SMALL, 0)
    assert list(history.columns) == ["images_seen", "loss", "accuracy"]
    assert history["images_seen"].tolist() == list(range(8, 321, 8))  # the three left over make no batch
    assert history["loss"].tail(5).mean() < 0.5 * history["loss"].head(5).mean()
    assert history["accuracy"].tail(5).mean() > 0.9
    unseen, truth = sides(64, seed=1)
    assert (pretraining.folded_answers(*batch_normalised.fold_batch_norm(network), unseen) == truth).mean() > 0.9


def test_the_same_seed_arrives_at_the_same_bits():
    from fitgap.backbone import pretraining

    first, again = (pretraining.pretrain(*sides(16, seed=0), 2, SMALL, 7)[0].get_weights() for _ in range(2))
    assert [weight.tobytes() for weight in first] == [weight.tobytes() for weight in again]


def test_initial_weights_depend_on_seed_and_layer_name_alone():
    from fitgap.networks import batch_normalised

    first, again = (
        batch_normalised.build_batch_normalised(32, 5, seed=0),
        batch_normalised.build_batch_normalised(64, 9, seed=0),
    )
    other = batch_normalised.build_batch_normalised(32, 5, seed=1)
    name = "block5_conv2"
    (kernel,), (same,), (different,) = (model.get_layer(name).get_weights() for model in (first, again, other))
    np.testing.assert_array_equal(kernel, same)
    assert (kernel != different).any()
    assert (kernel != first.get_layer("block5_conv3").get_weights()[0]).any()


def test_reduced_precision_keeps_float32_weights_and_answers():
    from fitgap.networks import batch_normalised

    network = batch_normalised.build_batch_normalised(32, 5, seed=0, policy="mixed_bfloat16")
    assert network.get_layer("block3_conv1").compute_dtype == "bfloat16"
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert network.outputs[0].dtype == "float32"
