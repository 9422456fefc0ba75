"""Deterministic TensorFlow: the same bytes at every run, a fast import, and seeds that make comparisons paired."""

import gc
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from fitgap.system.environment import without_strays

# Keras imports these if they are installed, for scikit-learn wrappers and image galleries that are unused here.
# Hiding them makes every stage start faster.
UNUSED_IMPORTS = ("matplotlib", "sklearn")


def start_tensorflow(seed: int, threads: int | str = "all") -> None:
    """Import TensorFlow without its start-up messages and make it deterministic.

    Call it before anything else imports TensorFlow.

    The machine's settings of TensorFlow and Keras (TF_XLA_FLAGS, KERAS_BACKEND, keras.json) have no influence: backend,
    float type and image format are Keras's defaults.

    oneDNN's kernels are enabled on every x86 processor. By default TensorFlow enables them only on processors with
    neural-network instructions (AVX512-VNNI, AMX and the like); training on others is then much slower (`make bench`
    measures it). GPU memory is allocated on demand, so that two stages can share one GPU.

    Parameters
    ----------
    seed : of Python's, NumPy's and TensorFlow's random numbers
    threads : processor threads of one operation, or "all" for one per core; results differ by rounding
    """
    for name in set(os.environ) - set(without_strays(os.environ)):
        del os.environ[name]  # of a notebook; a stage has been started without
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # of the two, Keras prefers it to keras.json
    with hold_stderr(), _hide_modules(*UNUSED_IMPORTS), without_garbage_collection():
        import keras
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        if threads != "all":
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    # Defaults that a keras.json of the user may have changed.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _hide_modules(*names: str) -> Iterator[None]:
    """Inside this context, make imports of the named modules fail. Modules imported before are unaffected."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # Python's documented way to block an import
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def hold_stderr() -> Iterator[None]:
    """Capture what native code writes to standard error; print it only if an exception is raised.

    TensorFlow logs its instruction sets and every missing GPU library before its own log level takes effect. That
    is a dozen lines at each start of a stage.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def derive_seed(seed: int, name: str) -> int:
    """Return a seed in [0, 2**31) derived from `seed` and `name`.

    A layer's initial weights then depend only on the model's seed and the layer's name, not on which layers were
    built before it. Layers that two variants share start from the same weights, so comparisons are paired.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "little") >> 1


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable garbage collection inside this context: an import creates almost no garbage. Later ones skip it too."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
