"""Test TensorFlow's start: fast, and without side effects on later imports."""

import json
import os
import subprocess
import sys

import pytest

STARTED = """
import sys
{before}
from fitgap.definitions.determinism import start_tensorflow
start_tensorflow(0)
print("sklearn" in sys.modules, "matplotlib" in sys.modules)
import keras, matplotlib.pyplot, sklearn.base, tensorflow
print(issubclass(keras.layers.Dense, keras.Layer), sklearn.base.BaseEstimator.__name__)
"""


def printed(repository, before: str = "") -> str:
    command = [sys.executable, "-c", STARTED.format(before=before)]
    return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout


def test_start_leaves_out_what_keras_imports_for_others(repository):
    assert printed(repository) == "False False\nTrue BaseEstimator\n"


def test_start_leaves_alone_what_was_imported_before(repository):
    assert printed(repository, "import sklearn") == "True False\nTrue BaseEstimator\n"


@pytest.mark.parametrize("backend", [None, "torch"])
def test_the_users_settings_of_keras_have_no_influence(repository, tmp_path, backend):
    settings = {"floatx": "float64", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = """
from fitgap.definitions.determinism import start_tensorflow
start_tensorflow(0)
from keras import backend, config, layers
print(backend.backend(), config.floatx(), config.epsilon(), config.image_data_format())
print(layers.Dense(1).dtype_policy.name)
"""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)} | ({"KERAS_BACKEND": backend} if backend else {})
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "tensorflow float32 1e-07 channels_last\nfloat32\n"
