"""Test TensorFlow's start: fast, and without side effects on later imports."""

import subprocess
import sys

STARTED = """
import sys
{before}
from fitgap.system.determinism import start_tensorflow
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
