"""Load the convolutional base's weights: one function for each value of `backbone.weights`."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fitgap.backbone import glyphs, pretraining, user_weights
from fitgap.definitions.determinism import derive_seed
from fitgap.networks import batch_normalised, vgg16
from fitgap.params.sections import Backbone, Compute
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system import downloads

HELD_OUT = 1800  # held-out characters, 50 per class; at most as many as there are training characters


@dataclass(frozen=True)
class SourceNetwork:
    """A convolutional base with its classifier and the history of its training.

    Attributes
    ----------
    class_names, class_ids : classes of its classifier; ids are empty if the classes have none
    classifier : kernel (features, classes) and bias (classes,) on flattened block5_pool, or None
    history : pre-training history, columns `images_seen`, `loss`, `accuracy`; empty unless trained here
    """

    base: keras.Model
    class_names: list[str] = field(default_factory=list)
    class_ids: list[str] = field(default_factory=list)
    classifier: tuple[np.ndarray, np.ndarray] | None = None
    measured: dict[str, float] = field(default_factory=dict)
    # Always a table, so that history.csv is always one of the stage's outputs and DVC restores it with the rest.
    history: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["images_seen", "loss", "accuracy"]))


def load_source(backbone: Backbone, image_size: int, kept: Checkpoint, compute: Compute) -> SourceNetwork:
    """Load or train the base that `backbone.weights` selects.

    Parameters
    ----------
    kept : checkpoint of pre-training; a killed run resumes from it
    compute : precision and kernels of pre-training

    Raises
    ------
    UserError
        If a file is missing or does not fit, or a download fails.
    """
    if backbone.weights == "glyphs":
        return _glyphs(backbone, image_size, kept, compute)
    return {"imagenet": _imagenet, "path": _path, "none": _none}[backbone.weights](backbone, image_size)


def _none(backbone: Backbone, image_size: int) -> SourceNetwork:
    """Build the base with random weights (Keras's `weights=None`), as a control without transfer."""
    return SourceNetwork(vgg16.convolutional_base(None, image_size))


def _glyphs(backbone: Backbone, image_size: int, kept: Checkpoint, compute: Compute) -> SourceNetwork:
    """Pre-train VGG16 offline on printed characters rendered from matplotlib's fonts."""
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
    """Load Keras's ImageNet weights without the classifier, which needs 224x224 pixels; way 1 loads that itself."""
    base = downloads.load_through_keras(downloads.VGG16_NOTOP, lambda: vgg16.convolutional_base("imagenet", image_size))
    in_order = -np.arange(1000.0)[None]  # decode_predictions sorts by score; falling scores list classes by index
    decode = keras.applications.vgg16.decode_predictions
    classes = downloads.load_through_keras(downloads.IMAGENET_CLASSES, lambda: decode(in_order, top=1000))[0]
    return SourceNetwork(base, [name for _, name, _ in classes], [wordnet for wordnet, _, _ in classes])


def _path(backbone: Backbone, image_size: int) -> SourceNetwork:
    """Read user-provided weights, and their classifier if `backbone.path` is a folder that holds it."""
    file, classifier = user_weights.find_files(Path(backbone.path))
    base = _base_with_weights(user_weights.read_weights(file), image_size)
    if classifier is None:
        return SourceNetwork(base)
    top = user_weights.read_classifier(classifier, image_size)
    return SourceNetwork(base, top.names, top.ids, (top.kernel, top.bias))


def _base_with_weights(weights: user_weights.Weights, image_size: int) -> keras.Model:
    base = vgg16.convolutional_base(None, image_size)
    for name, arrays in weights.items():
        base.get_layer(name).set_weights(arrays)
    return base


def _thin_history(steps: pd.DataFrame, rows: int = 100) -> pd.DataFrame:
    """Average a per-update history down to about `rows` rows, for a readable curve."""
    group = np.arange(len(steps)) * min(rows, len(steps)) // len(steps)
    means = steps.groupby(group)[["loss", "accuracy"]].mean()
    means.insert(0, "images_seen", steps.groupby(group)["images_seen"].last())
    return means.reset_index(drop=True)


NOTABLE_SLOWDOWN = 2.0  # ratio of times; smaller ratios may be noise


def warn_if_slower(precision: str) -> None:
    """Warn on standard error if training in `precision` is slower than in float32 on this machine."""
    if precision != "float32" and (times := measure_slowdown(precision)) > NOTABLE_SLOWDOWN:
        print(
            f"fitgap: compute.precision: {precision}: gradients of convolutions take {times:.0f} times as long as in "
            "float32 on this machine; its processor seems to lack instructions for it (AVX512-BF16, AMX); float32 is "
            "faster here and more accurate",
            file=sys.stderr,
        )


def measure_slowdown(precision: str) -> float:
    """Return the time of a convolution's gradient in `precision` divided by that in float32."""
    return _gradient_seconds(precision) / _gradient_seconds("float32")


def _gradient_seconds(precision: str) -> float:
    """Time the gradient of VGG16's second convolution, on eight 32x32 images: best of two after a warm-up."""
    maps, kernel = (tf.ones(shape, precision) for shape in ((8, 32, 32, 64), (3, 3, 64, 64)))
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=maps.shape, filter=kernel, out_backprop=maps, strides=[1] * 4, padding="SAME"
        ).numpy()
        taken.append(time.perf_counter() - begin)
    return min(taken[1:])
