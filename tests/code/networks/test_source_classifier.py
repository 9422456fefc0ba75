"""Test way 1: the evaluation of the source classifier on the target data."""

import numpy as np
import pytest

from fitgap.networks.source_classifier import judge_answers

SOURCE = ["A", "0", "1", "B"]
TARGET = ["0", "1", "cat"]


def test_judged_by_hand():
    probabilities = np.array(
        [
            [0.1, 0.6, 0.2, 0.1],  # says 0, is 0
            [0.5, 0.3, 0.1, 0.1],  # says A, is 0; among shared classes 0
            [0.1, 0.5, 0.3, 0.1],  # says 0, is 1
            [0.1, 0.6, 0.2, 0.1],  # is a cat, which the source does not know
        ]
    )
    found = judge_answers(probabilities, SOURCE, np.array([0, 0, 1, 2]), TARGET)
    assert found.known_classes == ["0", "1"]
    assert found.coverage == 0.75
    assert found.accuracy_all_classes == 0.25
    assert found.accuracy_known_classes == pytest.approx(2 / 3)


def test_nothing_in_common():
    found = judge_answers(np.full((2, 4), 0.25), SOURCE, np.array([0, 1]), ["cat", "dog"])
    assert (found.known_classes, found.coverage, found.accuracy_all_classes) == ([], 0, 0)
    assert found.accuracy_known_classes is None


def test_source_network_is_the_base_with_its_classifier(tensorflow, tmp_path):
    from fitgap.networks import source_classifier, storage, vgg16

    rng = np.random.default_rng(0)
    base = vgg16.convolutional_base(None, 32)
    kernel, bias = rng.normal(size=(512, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    images = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    about = {"weights": "glyphs", "class_names": list("ABCD"), "class_ids": []}
    storage.write_backbone(tmp_path, base, about, (kernel, bias))
    network = source_classifier.build_source_network(storage.StoredBackbone(tmp_path, about), 32)
    features = base(vgg16.apply_layers(vgg16.preprocessing_layers(), images)).numpy().reshape(3, -1)
    logits = features @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network(images), expected, rtol=1e-3, atol=1e-6)
    assert source_classifier.count_parameters(network) == base.count_params() + 512 * 4 + 4
    assert source_classifier.largest_input_shape(network) == (32, 32, 3)
