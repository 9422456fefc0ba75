"""Where the convolutional base's weights come from: one function for each value of `backbone.weights`."""

from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from fitgap import downloads
from fitgap.backbone import batch_normalised, glyphs, own_files, pretraining, vgg16, weights_file
from fitgap.backbone.precision import warn_if_slower
from fitgap.checkpoints import Kept
from fitgap.determinism import derived_seed
from fitgap.params import Backbone

HELD_OUT = 1800  # characters that training has not seen, 50 of each class; fewer where it has seen fewer itself


@dataclass(frozen=True)
class Source:
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


def make(backbone: Backbone, image_size: int, kept: Kept, precision: str = "float32") -> Source:
    """Make the base that `backbone.weights` names.

    `kept` holds what an earlier, killed run of it had learned; `precision` is that of learning printed characters.
    """
    if backbone.weights == "glyphs":
        return _glyphs(backbone, image_size, kept, precision)
    return {"imagenet": _imagenet, "path": _path, "none": _none}[backbone.weights](backbone, image_size)


def _none(backbone: Backbone, image_size: int) -> Source:
    """Random weights: Keras's `weights=None`. Nothing can be transferred from them."""
    return Source(vgg16.convolutional_base(None, image_size))


def _glyphs(backbone: Backbone, image_size: int, kept: Kept, precision: str) -> Source:
    """Printed characters: VGG16 learns them here, offline, from matplotlib's own fonts."""
    warn_if_slower(precision)
    chosen, names = backbone.glyphs, list(glyphs.CLASS_NAMES)
    images, labels = glyphs.render(chosen.images, image_size, derived_seed(backbone.seed, "glyphs"))
    policy = pretraining.POLICIES[precision]
    settings = pretraining.PretrainingSettings(chosen.batch_size, chosen.learning_rate, precision=policy)
    network, steps = pretraining.pretrain(images, labels, len(names), settings, backbone.seed, kept)
    base, kernel, bias = batch_normalised.fold(network)
    count = min(HELD_OUT, backbone.glyphs.images)
    unseen, truth = glyphs.render(count, image_size, derived_seed(backbone.seed, "held-out glyphs"))
    answers = pretraining.folded_answers(base, kernel, bias, unseen)
    measured = {"glyph_accuracy": float((answers == truth).mean()), "glyphs_held_out": len(truth)}
    return Source(base, names, [], (kernel, bias), measured, _thinned(steps))


def _imagenet(backbone: Backbone, image_size: int) -> Source:
    """Keras's ImageNet weights. Their classifier needs 224x224 pixels: way 1 loads it where it is asked."""
    base = downloads.through_keras(downloads.VGG16_NOTOP, lambda: vgg16.convolutional_base("imagenet", image_size))
    in_order = -np.arange(1000.0)[None]  # answers are listed from the most likely on: these, by class number
    decode = keras.applications.vgg16.decode_predictions
    classes = downloads.through_keras(downloads.IMAGENET_CLASSES, lambda: decode(in_order, top=1000))[0]
    return Source(base, [name for _, name, _ in classes], [wordnet for wordnet, _, _ in classes])


def _path(backbone: Backbone, image_size: int) -> Source:
    """Weights of your own, and their classifier where it lies beside them."""
    file, beside = own_files.find(Path(backbone.path))
    base = _loaded(weights_file.read(file), image_size)
    if beside is None:
        return Source(base)
    top = own_files.classifier(beside, image_size)
    return Source(base, top.names, top.ids, (top.kernel, top.bias))


def _loaded(weights: weights_file.Weights, image_size: int) -> keras.Model:
    base = vgg16.convolutional_base(None, image_size)
    for name, arrays in weights.items():
        base.get_layer(name).set_weights(arrays)
    return base


def _thinned(steps: pd.DataFrame, rows: int = 100) -> pd.DataFrame:
    """Average a step-by-step history down to about `rows` rows, for a curve that can be read."""
    group = np.arange(len(steps)) * min(rows, len(steps)) // len(steps)
    means = steps.groupby(group)[["loss", "accuracy"]].mean()
    means.insert(0, "images_seen", steps.groupby(group)["images_seen"].last())
    return means.reset_index(drop=True)
