"""Variables that a shell has for other programs do not reach fitgap's."""

import os
import subprocess
import sys

from odd_variables import ODD

from fitgap.system.environment import DROPPED, MEANT, without_strays

PROGRAM = """
import numpy, os, sys
from fitgap import lifecycle
os.environ["OMP_NUM_THREADS"] = "2"  # as an import may set it
lifecycle.run(lambda *given: print(sorted(os.environ), given))
"""


def test_strays_are_dropped_and_what_is_meant_stays():
    assert not set(without_strays(ODD)) & {name for name in ODD if name.startswith(DROPPED)} - MEANT
    kept = dict.fromkeys([*MEANT, "PATH", "CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI", "DVC_ROOT"], "x")
    assert without_strays(kept) == kept


def test_program_starts_again_without_them_and_with_its_arguments(tmp_path, repository):
    """A process reads OPENBLAS_CORETYPE before any code of ours: it has to begin anew."""
    environment = {**os.environ, **ODD, "PYTHONPATH": str(repository), "KERAS_HOME": "/mine"}
    command = [sys.executable, "-c", PROGRAM, "a b"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    names, _, given = ended.stdout.partition("] ")
    assert given == "('a b',)\n" and "'KERAS_HOME'" in names and "'OPENBLAS_CORETYPE'" not in names
    assert "RESTARTED" not in names and "'OMP_NUM_THREADS'" in names
    assert "'KERAS_BACKEND'" not in names and "'PYTHONOPTIMIZE'" not in names
