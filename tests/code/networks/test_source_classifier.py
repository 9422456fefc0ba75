"""Test way 1: which source classes count as a target class, and the source classifier's answers on the target data."""

import numpy as np
import pytest

from fitgap.networks import source_classifier
from fitgap.networks.source_classifier import judge_answers
from fitgap.system.errors import UserError

SOURCE = ["A", "0", "1", "B"]
TARGET = ["0", "1", "cat"]
NAMES, IDS = ["bullfrog", "tabby", "Egyptian cat", "cougar", "deer park"], ["n1", "n20", "n24", "n25", "n3"]


def test_judged_by_hand():
    probabilities = np.array(
        [
            [0.1, 0.6, 0.2, 0.1],  # says 0, is 0
            [0.5, 0.3, 0.1, 0.1],  # says A, is 0; among shared classes 0
            [0.1, 0.5, 0.3, 0.1],  # says 0, is 1
            [0.1, 0.6, 0.2, 0.1],  # is a cat, which the source does not know
        ]
    )
    known, measured = judge_answers(probabilities, SOURCE, np.array([0, 0, 1, 2]), TARGET)
    assert known == ["0", "1"]
    assert measured == {
        "coverage": 0.75,
        "accuracy_all_classes": 0.25,
        "accuracy_known_classes": pytest.approx(2 / 3),
    }


def test_nothing_in_common():
    known, measured = judge_answers(np.full((2, 4), 0.25), SOURCE, np.array([0, 1]), ["cat", "dog"])
    assert known == []
    assert measured == {"coverage": 0, "accuracy_all_classes": 0, "accuracy_known_classes": None}


def test_source_network_is_the_base_with_its_classifier(tensorflow, tmp_path):
    from fitgap.networks import storage, vgg16

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
    assert source_classifier.largest_input_shape(network) == (32, 32, 3)


def test_ranges_ids_and_names_are_understood():
    mapping = {"cat": ["n20..n24"], "frog": ["bullfrog"], "deer": [], "park": ["n3"]}
    found = source_classifier.target_classes(NAMES, IDS, ["cat", "frog", "deer"], mapping)
    assert found == ["frog", "cat", "cat", "cougar", "deer park"]
    assert source_classifier.target_classes(["7", "A"], [], ["7", "8"], {}) == ["7", "A"]


def test_class_that_counts_as_two_is_refused():
    with pytest.raises(UserError, match="'tabby' counts as 'cat' and as 'pet'"):
        source_classifier.target_classes(NAMES, IDS, ["cat", "pet"], {"cat": ["n20"], "pet": ["n20..n24"]})


def test_restricted_answer_adds_the_probabilities_of_what_counts_as_one():
    probabilities = np.array([[0.4, 0.3, 0.3]])
    measured = judge_answers(probabilities, ["frog", "cat", "cat"], np.array([1]), ["frog", "cat"])[1]
    assert (measured["accuracy_all_classes"], measured["accuracy_known_classes"]) == (0.0, 1.0)


def test_shipped_file_covers_cifar10_but_for_the_deer(repository):
    mapping = source_classifier.read_class_map(repository / "data/source_classes.yaml")
    assert set(mapping) == set("airplane automobile bird cat deer dog frog horse ship truck".split())
    assert [name for name, sources in mapping.items() if not sources] == ["deer"]


@pytest.mark.parametrize("text", ["cat: n1", "- cat", "cat: [1]", "cat: ["])
def test_mistake_gets_one_line(text, tmp_path):
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        source_classifier.read_class_map(tmp_path / "classes.yaml")
    assert "\n" not in str(raised.value)
