"""The machine: its description, and the speed of matrix multiplication, the upper bound for all benchmarks."""

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from fitgap.system.processor import describe_processor, usable_cores

SIDE = 2048  # of the square matrices; three of them in float32 are 50 MB, far more than the caches
PRODUCTS = 24  # per pass
PACKAGES = ("tensorflow", "keras", "mlflow", "dvc", "torch", "onnxruntime", "openvino")


def description() -> str:
    """Return the processor, the usable cores, the operating system and the versions of relevant packages."""
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{describe_processor()}, {usable_cores()} cores, {system}; {versions}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def numpy_products() -> Callable[[], dict[str, float]]:
    """Multiply float32 matrices with NumPy (its BLAS)."""
    left, right = (np.random.default_rng(seed).random((SIDE, SIDE), np.float32) for seed in (0, 1))
    out = np.empty_like(left)
    return lambda: _rate(lambda: np.matmul(left, right, out=out))


def tensorflow_products(dtype: str) -> Callable[[], dict[str, float]]:
    """Multiply matrices of `dtype` with TensorFlow (oneDNN)."""
    import tensorflow as tf

    left, right = (tf.cast(tf.random.stateless_uniform((SIDE, SIDE), (0, seed)), dtype) for seed in (0, 1))
    multiply = tf.function(lambda a, b: tf.reduce_max(tf.matmul(a, b)), autograph=False)
    return lambda: _rate(lambda: multiply(left, right).numpy())


def pytorch_products(dtype: str) -> Callable[[], dict[str, float]]:
    """Multiply matrices of `dtype` with PyTorch."""
    import torch

    left, right = (torch.rand(SIDE, SIDE).to(getattr(torch, dtype)) for _ in (0, 1))
    return lambda: _rate(lambda: left @ right)


def _rate(multiply: Callable[[], object]) -> dict[str, float]:
    multiply()
    begin = time.perf_counter()
    for _ in range(PRODUCTS):
        multiply()
    return {"multiply_adds_per_second": PRODUCTS * SIDE**3 / (time.perf_counter() - begin)}
