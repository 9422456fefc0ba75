"""Shared fixtures: the repository's path, TensorFlow started once, and a small repository with trained models."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
# As `start_tensorflow` has it, for modules that import Keras while tests are collected.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# What a shell script starts with & ignores Ctrl-C, and so would all that tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow as the stages start it."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    import tensorflow as tf

    return tf


@pytest.fixture(scope="session")
def trained(tensorflow, repository, tmp_path_factory) -> Path:
    """A small repository with trained models; do not modify it."""
    import trained_repository

    from fitgap.params import reading

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
    """A copy of the repository with trained models, which a test may change."""
    return shutil.copytree(trained, tmp_path / "copied")
