"""Test the mapping of source classes to target classes."""

import numpy as np
import pytest

from fitgap.networks import source_classifier
from fitgap.networks.source_classifier import judge_answers
from fitgap.system.errors import UserError

NAMES, IDS = ["bullfrog", "tabby", "Egyptian cat", "cougar", "deer park"], ["n1", "n20", "n24", "n25", "n3"]


def test_ranges_ids_and_names_are_understood():
    mapping = {"cat": ["n20..n24"], "frog": ["bullfrog"], "deer": [], "park": ["n3"]}
    found = source_classifier.target_classes(NAMES, IDS, ["cat", "frog", "deer"], mapping)
    assert found == ["frog", "cat", "cat", "cougar", "deer park"]


def test_equal_names_need_no_entry():
    assert source_classifier.target_classes(["7", "A"], [], ["7", "8"], {}) == ["7", "A"]


def test_class_that_counts_as_two_is_refused():
    with pytest.raises(UserError, match="'tabby' counts as 'cat' and as 'pet'"):
        source_classifier.target_classes(NAMES, IDS, ["cat", "pet"], {"cat": ["n20"], "pet": ["n20..n24"]})


def test_restricted_answer_adds_the_probabilities_of_what_counts_as_one():
    probabilities = np.array([[0.4, 0.3, 0.3]])
    found = judge_answers(probabilities, ["frog", "cat", "cat"], np.array([1]), ["frog", "cat"])
    assert (found.accuracy_all_classes, found.accuracy_known_classes) == (0.0, 1.0)


def test_shipped_file_covers_cifar10_but_for_the_deer(repository):
    mapping = source_classifier.read_class_map(repository / "data/source_classes.yaml")
    assert set(mapping) == set("airplane automobile bird cat deer dog frog horse ship truck".split())
    assert [name for name, sources in mapping.items() if not sources] == ["deer"]


@pytest.mark.parametrize("text", ["cat: n1", "- cat", "cat: [1]", "cat: [", "cat: [a]\ncat: [b]"])
def test_mistake_gets_one_line(text, tmp_path):
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        source_classifier.read_class_map(tmp_path / "classes.yaml")
    assert "\n" not in str(raised.value)
