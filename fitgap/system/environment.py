"""Which variables of a shell reach the stages, `make predict` and `make serve`.

One that is meant for another program changes results without a word (TF_XLA_FLAGS), or stops the start (KERAS_BACKEND).
The table stands in docs/reproducibility.md.
"""

import os
import sys
from collections.abc import Mapping

# Beginnings of names: of TensorFlow, Keras, their GPU libraries, the libraries of arithmetic below them, and Python.
DROPPED = ("TF_", "XLA_", "KERAS_", "NVIDIA_TF32", "CUDNN_", "CUBLAS_", "ONEDNN_", "DNNL_", "MKL_", "OMP_")
DROPPED += ("OPENBLAS_", "GOTO_", "BLIS_", "NPY_", "PYTHON")
OTHERS = ("TF_CLI_", "TF_VAR_", "TF_LOG", "TF_DATA_DIR", "TF_WORKSPACE")  # of Terraform, without influence
MEANT = {
    *("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"),  # other arithmetic, on purpose
    *("TF_CPP_MIN_LOG_LEVEL", "TF_GPU_ALLOCATOR", "TF_FORCE_GPU_ALLOW_GROWTH"),
    *("KERAS_HOME", "PYTHONPATH", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONHASHSEED"),
}


def without_strays(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may reach a program of fitgap; empty ones may."""
    return {
        k: v for k, v in variables.items() if not v or k in MEANT or not k.startswith(DROPPED) or k.startswith(OTHERS)
    }


def restart_without_strays() -> None:
    """Replace a process that begins by `python -m` by the same one without stray variables, if there are any.

    The package of the module calls this, so that it costs no second import: NumPy and TensorFlow read their variables
    when they are imported. In any other import of the package, nothing happens.
    """
    variables = without_strays(os.environ)
    if sys.argv[0] == "-m" and len(variables) < len(os.environ):
        os.execve(sys.executable, sys.orig_argv, variables)
