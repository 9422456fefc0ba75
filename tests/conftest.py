"""Shared fixtures of all tests: the repository's path, and TensorFlow started once, reproducibly."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
# As `start_tensorflow` has it, for modules that import Keras while tests are collected.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow as the stages start it."""
    from fitgap.system.determinism import start_tensorflow

    start_tensorflow(seed=0)
    import tensorflow as tf

    return tf
