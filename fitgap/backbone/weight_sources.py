"""Sources of the convolutional base's weights: one function for each value of `backbone.weights`."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fitgap.backbone import batch_normalised, glyphs, pretraining, user_weights, vgg16
from fitgap.params.schema import Backbone, Compute
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system import downloads
from fitgap.system.determinism import derive_seed

HELD_OUT = 1800  # characters that training has not seen, 50 of each class; fewer where it has seen fewer itself


@dataclass(frozen=True)
class SourceNetwork:
    """A convolutional base, and what goes with it.

    Attributes
    ----------
    class_names, class_ids : what its classifier can answer; ids are empty where the classes have none
    classifier : kernel (features, classes) and bias (classes,) on flattened block5_pool, or None
    history : the source training, columns `images_seen`, `loss`, `accuracy`; no rows where none took place here
    """

    base: keras.Model
    class_names: list[str] = field(default_factory=list)
    class_ids: list[str] = field(default_factory=list)
    classifier: tuple[np.ndarray, np.ndarray] | None = None
    measured: dict[str, float] = field(default_factory=dict)
    # Always a table, so that history.csv is always among the stage's outputs, and restored with the rest.
    history: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["images_seen", "loss", "accuracy"]))


def load_source(backbone: Backbone, image_size: int, kept: Checkpoint, compute: Compute) -> SourceNetwork:
    """Make the base that `backbone.weights` names.

    `kept` holds what an earlier, killed run of it had learned; `compute` says how printed characters are learned.
    """
    if backbone.weights == "glyphs":
        return _glyphs(backbone, image_size, kept, compute)
    return {"imagenet": _imagenet, "path": _path, "none": _none}[backbone.weights](backbone, image_size)


def _none(backbone: Backbone, image_size: int) -> SourceNetwork:
    """Random weights: Keras's `weights=None`. Nothing can be transferred from them."""
    return SourceNetwork(vgg16.convolutional_base(None, image_size))


def _glyphs(backbone: Backbone, image_size: int, kept: Checkpoint, compute: Compute) -> SourceNetwork:
    """Printed characters: VGG16 learns them here, offline, from matplotlib's own fonts."""
    warn_if_slower(compute.precision)
    chosen, names = backbone.glyphs, list(glyphs.CLASS_NAMES)
    images, labels = glyphs.render(chosen.images, image_size, derive_seed(backbone.seed, "glyphs"))
    policy = pretraining.POLICIES[compute.precision]
    settings = pretraining.PretrainingSettings(
        chosen.batch_size, chosen.learning_rate, precision=policy, kernels=compute.hand_written_kernels
    )
    network, steps = pretraining.pretrain(images, labels, len(names), settings, backbone.seed, kept)
    base, kernel, bias = batch_normalised.fold_batch_norm(network)
    count = min(HELD_OUT, backbone.glyphs.images)
    unseen, truth = glyphs.render(count, image_size, derive_seed(backbone.seed, "held-out glyphs"))
    answers = pretraining.folded_answers(base, kernel, bias, unseen)
    measured = {"glyph_accuracy": float((answers == truth).mean()), "glyphs_held_out": len(truth)}
    return SourceNetwork(base, names, [], (kernel, bias), measured, _thin_history(steps))


def _imagenet(backbone: Backbone, image_size: int) -> SourceNetwork:
    """Keras's ImageNet weights. Their classifier needs 224x224 pixels: way 1 loads it where it is asked."""
    base = downloads.load_through_keras(downloads.VGG16_NOTOP, lambda: vgg16.convolutional_base("imagenet", image_size))
    in_order = -np.arange(1000.0)[None]  # answers are listed from the most likely on: these, by class number
    decode = keras.applications.vgg16.decode_predictions
    classes = downloads.load_through_keras(downloads.IMAGENET_CLASSES, lambda: decode(in_order, top=1000))[0]
    return SourceNetwork(base, [name for _, name, _ in classes], [wordnet for wordnet, _, _ in classes])


def _path(backbone: Backbone, image_size: int) -> SourceNetwork:
    """Weights of your own, and their classifier where it lies beside them."""
    file, beside = user_weights.find_files(Path(backbone.path))
    base = _base_with_weights(user_weights.read_weights(file), image_size)
    if beside is None:
        return SourceNetwork(base)
    top = user_weights.read_classifier(beside, image_size)
    return SourceNetwork(base, top.names, top.ids, (top.kernel, top.bias))


def _base_with_weights(weights: user_weights.Weights, image_size: int) -> keras.Model:
    base = vgg16.convolutional_base(None, image_size)
    for name, arrays in weights.items():
        base.get_layer(name).set_weights(arrays)
    return base


def _thin_history(steps: pd.DataFrame, rows: int = 100) -> pd.DataFrame:
    """Average a step-by-step history down to about `rows` rows, for a curve that can be read."""
    group = np.arange(len(steps)) * min(rows, len(steps)) // len(steps)
    means = steps.groupby(group)[["loss", "accuracy"]].mean()
    means.insert(0, "images_seen", steps.groupby(group)["images_seen"].last())
    return means.reset_index(drop=True)


NOTABLE_SLOWDOWN = 2.0  # times as long; less may be chance


def warn_if_slower(precision: str) -> None:
    """Say in one line, before the work, that to learn in a precision takes longer than in float32 here."""
    if precision != "float32" and (times := measure_slowdown(precision)) > NOTABLE_SLOWDOWN:
        print(
            f"fitgap: compute.precision: {precision}: gradients of convolutions take {times:.0f} times as long as in "
            "float32 on this machine, as where a processor has no arithmetic for it (AVX512-BF16, AMX); float32 is "
            "quicker here, and more exact",
            file=sys.stderr,
        )


def measure_slowdown(precision: str) -> float:
    """Measure how many times as long as in float32 a convolution's gradient takes: below 1 where it is quicker."""
    return _gradient_seconds(precision) / _gradient_seconds("float32")


def _gradient_seconds(precision: str) -> float:
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
