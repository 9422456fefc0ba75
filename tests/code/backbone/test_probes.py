"""Test linear probes: they find linear structure, use only validation data for selection, and are reproducible."""

import numpy as np
import pytest

from fitgap.definitions.vgg16_layers import POOLS

CLASSES = 4


def task(columns: int, clarity: float, seed: int = 0) -> tuple[dict, dict]:
    """Return features and labels by split; the first few features encode the class."""
    random = np.random.default_rng(seed)
    sizes = {"train": 80, "validation": 200, "test": 400}
    labels = {name: np.arange(size, dtype=np.int64) % CLASSES for name, size in sizes.items()}
    features = {name: random.normal(size=(size, columns)).astype(np.float32) for name, size in sizes.items()}
    for name in sizes:
        features[name][:, :CLASSES] += clarity * np.eye(CLASSES, dtype=np.float32)[labels[name]]
    return features, labels


@pytest.fixture(scope="module")
def probes(tensorflow):
    from fitgap.backbone import probes

    return probes


def test_a_clear_class_is_read_off(probes):
    probe = probes.fit_probe(*task(20, clarity=8.0))
    assert probe.measured["test_accuracy"] > 0.99
    assert probe.probabilities.shape == (400, CLASSES) and probe.probabilities.dtype == np.float32
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1, rtol=1e-5)


def test_noise_holds_nothing_and_is_punished_most(probes):
    probe = probes.fit_probe(*task(20, clarity=0.0))
    assert probe.measured["test_accuracy"] < 0.35
    assert probe.strength == min(probes.STRENGTHS)


def test_test_images_have_no_say(probes):
    features, labels = task(20, clarity=1.5)
    probe = probes.fit_probe(features, labels)
    other = {**features, "test": features["test"][::-1] * 3}, {**labels, "test": labels["test"][::-1]}
    again = probes.fit_probe(*other)
    assert again.strength == probe.strength
    unseen = {name: value for name, value in probe.measured.items() if name != "test_accuracy"}
    assert unseen.items() <= again.measured.items()


def test_the_same_bytes_every_time(probes):
    one, two = (probes.fit_probe(*task(40, clarity=1.5)) for _ in range(2))
    assert one.probabilities.tobytes() == two.probabilities.tobytes()


@pytest.mark.parametrize("size", [32, 48, 64])
def test_blocks_stand_side_by_side_in_at_most_sixteen_cells(probes, size):
    network = probes.build_pooled_blocks(None, size)
    columns = probes.layer_columns(network)
    assert list(columns) == list(POOLS)
    assert columns["block5_pool"].stop == network.output_shape[1]
    for name, where in columns.items():
        channels = network.get_layer(name).output.shape[-1]
        cells = (where.stop - where.start) // channels
        assert cells * channels == where.stop - where.start
        assert 1 <= cells <= probes.CELLS**2


def test_columns_hold_the_means_of_cells(probes, tensorflow):
    from fitgap.backbone import vgg16

    tensorflow.keras.utils.set_random_seed(0)
    network = probes.build_pooled_blocks(None, 32)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    rows = network(images).numpy()[:, probes.layer_columns(network)["block2_pool"]]
    outputs = vgg16.apply_layers(network.layers[1 : network.layers.index(network.get_layer("block2_pool")) + 1], images)
    cells = outputs.numpy().reshape(3, 4, 2, 4, 2, 128).mean(axis=(2, 4))
    np.testing.assert_allclose(rows, cells.reshape(3, -1), rtol=1e-4, atol=1e-5)
