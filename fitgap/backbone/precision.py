"""Whether to learn in `compute.precision` pays on this machine: not every processor has arithmetic for bfloat16.

Without it TensorFlow has no quick kernels for the gradients of convolutions; to pass images through a network costs
far less.
"""

import sys
import time

import tensorflow as tf

CLEAR = 2.0  # times as long; less may be chance


def warn_if_slower(precision: str) -> None:
    """Say in one line, before the work, that to learn in a precision takes longer than in float32 here."""
    if precision != "float32" and (times := slowdown(precision)) > CLEAR:
        print(
            f"fitgap: compute.precision: {precision}: gradients of convolutions take {times:.0f} times as long as in "
            "float32 on this machine, as where a processor has no arithmetic for it (AVX512-BF16, AMX); float32 is "
            "quicker here, and more exact",
            file=sys.stderr,
        )


def slowdown(precision: str) -> float:
    """Measure how many times as long as in float32 a convolution's gradient takes: below 1 where it is quicker."""
    return _seconds(precision) / _seconds("float32")


def _seconds(precision: str) -> float:
    """Time the gradient of a convolution as VGG16's second one, on eight images of 32x32: best of two after a first."""
    maps, kernel = (tf.ones(shape, precision) for shape in ((8, 32, 32, 64), (3, 3, 64, 64)))
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=maps.shape, filter=kernel, out_backprop=maps, strides=[1] * 4, padding="SAME"
        ).numpy()
        taken.append(time.perf_counter() - begin)
    return min(taken[1:])
