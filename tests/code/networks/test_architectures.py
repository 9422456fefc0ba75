"""Test the networks: remedies are placed as in the notes, and seeds pair the comparisons."""

import numpy as np
import pytest

from fitgap.params.reading import load_params
from fitgap.params.variants import Variant


@pytest.fixture(scope="module")
def cnn(tensorflow, repository):
    from fitgap.networks import architectures

    chosen = load_params(repository / "params.yaml")
    return lambda seed=0, **remedies: architectures.build_cnn(32, 10, chosen.scratch, Variant(**remedies), seed)


@pytest.fixture(scope="module")
def classifier(tensorflow, repository):
    from fitgap.networks import architectures

    chosen = load_params(repository / "params.yaml")
    return lambda seed=0, **remedies: architectures.build_classifier(
        (1, 1, 512), 10, chosen.head, Variant(**remedies), seed
    )


def names(network) -> list[str]:
    return [layer.name for layer in network.layers]


def test_the_notes_network(cnn, repository):
    filters = load_params(repository / "params.yaml").scratch.filters
    blocks = [f"block{number}" for number in range(1, len(filters) + 1)]
    one = "{0}_conv1 {0}_conv1_relu {0}_conv2 {0}_conv2_relu {0}_pool"
    inside = [name for block in blocks for name in one.format(block).split()]
    assert names(cnn()) == ["image", "scale_to_1", *inside, "flatten", "dense", "dense_relu", "logits"]
    assert [cnn().get_layer(f"{block}_conv2").filters for block in blocks] == filters


def test_batch_normalisation_stands_between_layer_and_activation(cnn, classifier):
    for network in (cnn(batch_norm=True), classifier(batch_norm=True)):
        layers = names(network)
        normalised = [name.removesuffix("_norm") for name in layers if name.endswith("_norm")]
        assert "dense" in normalised
        for name in normalised:
            place = layers.index(name)
            assert layers[place : place + 3] == [name, f"{name}_norm", f"{name}_relu"]
            assert network.get_layer(f"{name}_norm").momentum == 0.9


def test_dropout_stands_after_each_pooling_and_the_dense_layer(cnn):
    layers = names(cnn(dropout=0.25))
    before = [layers[layers.index(name) - 1] for name in layers if name.endswith("_dropout")]
    assert before == [*(name for name in layers if name.endswith("_pool")), "dense_relu"]
    assert len(before) > 2


@pytest.mark.parametrize("remedies", [{"l1": 0.01}, {"l2": 0.01}, {"l1": 0.01, "l2": 0.02}])
def test_every_kernel_is_penalised_by_what_was_asked_for(cnn, classifier, remedies):
    from fitgap.networks.evaluation import penalty

    assert cnn().losses == []
    for network in (cnn(**remedies), classifier(**remedies)):
        kernels = [w.numpy() for w in network.trainable_weights if w.name == "kernel"]
        assert len(network.losses) == len(kernels)
        expected = sum(
            remedies.get("l1", 0) * np.abs(k).sum() + remedies.get("l2", 0) * np.square(k).sum() for k in kernels
        )
        assert float(penalty(network)) == pytest.approx(expected, rel=1e-4)


def test_variants_of_one_seed_begin_alike_in_the_layers_they_share(cnn):
    bare, architectures = cnn(), cnn(dropout=0.5, batch_norm=True, l2=0.1)
    for layer in bare.layers:
        if layer.weights:
            np.testing.assert_array_equal(layer.kernel, architectures.get_layer(layer.name).kernel)


def test_seeds_and_layers_begin_differently(cnn):
    first, second = cnn(0), cnn(1)
    assert not np.array_equal(first.get_layer("logits").kernel, second.get_layer("logits").kernel)
    kernels = [first.get_layer(f"block{i}_conv2").kernel.numpy() for i in (1, 2)]
    assert not np.array_equal(kernels[0][:, :, :8, :8], kernels[1][:, :, :8, :8])


def test_dropout_leaves_out_its_share_and_scales_up_what_stays(classifier):
    """Inverted dropout: the expectation stays the same, so nothing is scaled at test time."""
    layer = classifier(dropout=0.4).get_layer("dense_dropout")
    ones = np.ones((100, 256), np.float32)
    dropped = np.asarray(layer(ones, training=True))
    assert (dropped == 0).mean() == pytest.approx(0.4, abs=0.02)
    assert np.unique(dropped).tolist() == pytest.approx([0, 1 / 0.6])
    np.testing.assert_array_equal(layer(ones, training=False), ones)
