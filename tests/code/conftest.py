"""A repository with trained models, and copies of it."""

from pathlib import Path

import pytest
import trained_repository
import yaml

from fitgap.params import reading


@pytest.fixture(scope="session")
def trained(tensorflow, repository, tmp_path_factory) -> Path:
    """The trained repository; do not modify it."""
    top = tmp_path_factory.mktemp("trained")
    trained_repository.paint(top / "pictures")
    tree = reading.read_tree(repository / "params.yaml")
    for section, values in trained_repository.CHANGES.items():
        tree[section] = values if section == "variants" else tree[section] | values
    tree["seeds"], tree["data"]["path"] = [3, 4], str(top / "pictures")
    tree["highrate"]["variants"] = []
    (top / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    trained_repository.train(top)
    return top


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy that a test may change."""
    return trained_repository.copy(trained, tmp_path / "copied")
