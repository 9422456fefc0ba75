"""Load the convolutional base's weights: one function for each value of `backbone.weights`.

Your own weights (`path`) are VGG16's convolutions in a file that Keras wrote, of weights or of a whole model, and, for
way 1, its classifier in an .npz file: `kernel` (features, classes) and `bias` (classes,) on flattened block5_pool,
`names` (classes,), and, if the classes have ids such as WordNet's, `wnids` (classes,).
"""

import math
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from fitgap.backbone import glyphs, pretraining
from fitgap.definitions.determinism import derive_seed
from fitgap.definitions.vgg16_layers import LAYERS, activation_shape
from fitgap.networks import batch_normalised, vgg16
from fitgap.params.sections import Backbone, Compute
from fitgap.system import downloads
from fitgap.system.errors import UserError

HELD_OUT = 1800  # held-out characters, 50 per class; at most as many as there are training characters


@dataclass(frozen=True)
class SourceNetwork:
    """A convolutional base with its classifier and the history of its training."""

    base: keras.Model
    class_names: list[str] = field(default_factory=list)  # classes of its classifier
    class_ids: list[str] = field(default_factory=list)  # empty if the classes have none
    classifier: tuple[np.ndarray, np.ndarray] | None = None  # kernel (features, classes), bias (classes,); float32
    measured: dict[str, float] = field(default_factory=dict)
    # Always a table, so that history.csv is always one of the stage's outputs and DVC restores it with the rest.
    history: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["images_seen", "loss", "accuracy"]))


def load_source(backbone: Backbone, image_size: int, compute: Compute) -> SourceNetwork:
    """Load or train the base that `backbone.weights` selects; `compute` has the precision and kernels of training.

    Raises a UserError if a file is missing or does not fit, or a download fails.
    """
    if backbone.weights == "glyphs":
        return _glyphs(backbone, image_size, compute)
    return {"imagenet": _imagenet, "path": _path, "none": _none}[backbone.weights](backbone, image_size)


def _none(backbone: Backbone, image_size: int) -> SourceNetwork:
    """Build the base with random weights (Keras's `weights=None`), as a control without transfer."""
    return SourceNetwork(vgg16.convolutional_base(None, image_size))


def _glyphs(backbone: Backbone, image_size: int, compute: Compute) -> SourceNetwork:
    """Pre-train VGG16 offline on printed characters rendered from matplotlib's fonts."""
    chosen, names = backbone.glyphs, list(glyphs.CLASS_NAMES)
    images, labels = glyphs.render(chosen.images, image_size, derive_seed(backbone.seed, "glyphs"))
    how = pretraining.POLICIES[compute.precision], compute.hand_written_kernels
    network, steps = pretraining.pretrain(images, labels, len(names), chosen, backbone.seed, *how)
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
    """Read user-provided weights: a file, or a folder with one .h5 file and, for way 1, one .npz file.

    A file stands for itself: an .npz file beside it may belong to other weights, and DVC would not see it change.
    """
    path = Path(backbone.path)
    weights, classifiers = (
        (sorted(path.glob(f"*.{ending}")) for ending in ("h5", "npz")) if path.is_dir() else ([path], [])
    )
    if len(weights) != 1 or len(classifiers) > 1:
        held = ", ".join(file.name for file in (*weights, *classifiers)) or "none"
        needed = "one .h5 file and at most one .npz file, its classifier"
        raise UserError(
            f"params.yaml: backbone.path: {str(path)!r}: needs {needed}, holds {held}; name the .h5 file itself"
        )
    base = read_weights(weights[0], image_size)
    return SourceNetwork(base, *read_classifier(classifiers[0], image_size)) if classifiers else SourceNetwork(base)


def read_weights(path: Path, image_size: int) -> keras.Model:
    """Load a file that Keras wrote into VGG16's convolutional base.

    Raises a UserError if the file is not readable, holds another network, or contains NaN or infinity.
    """
    base = vgg16.convolutional_base(None, image_size)
    try:
        with warnings.catch_warnings(action="ignore"):
            base.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{path}: not VGG16's weights without its classifier (include_top=False), named as Keras names them "
            f"(.weights.h5, .keras, or .h5 of Keras 2): {reason}"
        ) from None
    for layer in base.layers:
        if not all(np.isfinite(array).all() for array in layer.get_weights()):
            raise UserError(f"{path}: layer {layer.name}: holds numbers that are not finite")
    return base


def read_classifier(path: Path, image_size: int) -> tuple[list[str], list[str], tuple[np.ndarray, np.ndarray]]:
    """Return a classifier's class names, class ids (empty if unknown), and float32 kernel and bias.

    Raises a UserError if the file is unreadable, lacks an array, or has other shapes than VGG16 needs at this size.
    """
    features = math.prod(activation_shape(LAYERS[-1], image_size))
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, ids = ([str(name) for name in arrays.get(key, ())] for key in ("names", "wnids"))
            kernel, bias = (arrays[key].astype(np.float32) for key in ("kernel", "bias"))
        if (*kernel.shape, *bias.shape) != (features, len(names), len(names)) or len(ids) not in (0, len(names)):
            raise ValueError(f"kernel {kernel.shape}, bias {bias.shape}, {len(names)} names, {len(ids)} wnids")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        needed = (
            f"kernel ({features}, classes), bias and names (classes,), wnids if known, at data.image_size {image_size}"
        )
        raise UserError(f"{path}: no classifier ({' '.join(str(error).split())[:200]}); needed: {needed}") from None
    return names, ids, (kernel, bias)


def _thin_history(steps: pd.DataFrame, rows: int = 100) -> pd.DataFrame:
    """Average a per-update history down to about `rows` rows, for a readable curve."""
    group = np.arange(len(steps)) * min(rows, len(steps)) // len(steps)
    means = steps.groupby(group)[["loss", "accuracy"]].mean()
    means.insert(0, "images_seen", steps.groupby(group)["images_seen"].last())
    return means.reset_index(drop=True)
