"""Repeatable TensorFlow: the same bytes at every run, quickly imported, and seeds that make comparisons paired."""

import gc
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Keras imports these where they are installed, for scikit-learn wrappers and picture galleries that nothing here
# uses, and every stage would wait for them; `make bench` measures how long.
UNUSED_IMPORTS = ("matplotlib", "sklearn")


def start_tensorflow(seed: int, at_once: int = 1) -> None:
    """Import TensorFlow quietly and make it repeatable.

    Where a stage lets TensorFlow do several things `at_once`, each of them gets its share of the cores.

    Call it before anything else imports TensorFlow. It computes with oneDNN's kernels on every x86 processor: left
    alone it does so only on those with instructions made for neural networks (AVX512-VNNI, AMX and the like), and
    others learn far more slowly than they could (`make bench` trains without it, too). A GPU, where there is one,
    hands out memory as it is needed, so that two stages can share it.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _hold_stderr(), _hide_modules(*UNUSED_IMPORTS), freeze_garbage_collection():
        import keras
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        if at_once > 1:
            tf.config.threading.set_intra_op_parallelism_threads(max(1, (os.cpu_count() or 1) // at_once))
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _hide_modules(*names: str) -> Iterator[None]:
    """Let imports of modules fail meanwhile, as if they were not installed; those imported before are untouched."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None there is Python's documented way to say so
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _hold_stderr() -> Iterator[None]:
    """Hold back what native code writes to standard error; show it when an exception passes.

    TensorFlow announces its instruction sets and every GPU library that it does not find before its own
    log level takes effect, a dozen lines at each start of a stage.
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
    """Give a seed of its own to everything that has a name.

    A layer's initial weights then depend on the model's seed and the layer's name alone, not on which other
    layers were built before it: layers that two variants share begin alike, and comparisons are paired.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "little") >> 1


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: of what an import makes, next to nothing is garbage."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def freeze_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, and let no later one look through what was made until then: it stays anyway."""
    with pause_garbage_collection():
        yield
        gc.freeze()
