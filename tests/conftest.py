"""What all three drawers share: the repository's place, and TensorFlow started once, repeatably."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow as the stages start it."""
    from fitgap.determinism import start_tensorflow

    start_tensorflow(seed=0)
    import tensorflow as tf

    return tf
