"""Load the convolutional base's weights: one function for each value of `backbone.weights`.

Your own weights (`path`) are VGG16's convolutions in a file that Keras wrote, of weights or of a whole model, and, for
way 1, its classifier in an .npz file: `kernel` (features, classes) and `bias` (classes,) on flattened block5_pool,
`names` (classes,), and, if the classes have ids such as WordNet's, `wnids` (classes,).
"""

import tempfile
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import h5py
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
KEY = "params.yaml: backbone.path"


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
    """Read user-provided weights, and their classifier if `backbone.path` is a folder that holds it."""
    weights, classifier = find_files(Path(backbone.path))
    base = read_weights(weights, image_size)
    return SourceNetwork(base, *read_classifier(classifier, image_size)) if classifier else SourceNetwork(base)


def find_files(path: Path) -> tuple[Path, Path | None]:
    """Return the weights file and the classifier file (None if absent).

    A folder holds a network: its .h5 file and, for way 1, its .npz file. An .h5 file stands for itself: an .npz file
    beside it may belong to other weights, and DVC would not see it change.

    Raises a UserError if `path` does not exist, or is a folder without exactly one .h5 file and at most one .npz file.
    """
    if not path.exists():
        raise UserError(f"{KEY}: {str(path)!r}: not found; name an .h5 file of VGG16's weights or the folder of one")
    if not path.is_dir():
        return path, None
    weights, classifiers = sorted(path.glob("*.h5")), sorted(path.glob("*.npz"))
    if len(weights) != 1 or len(classifiers) > 1:
        names = ", ".join(file.name for file in (*weights, *classifiers)) or "none"
        raise UserError(
            f"{KEY}: {str(path)!r}: needs one .h5 file and at most one .npz file (the classifier), holds {names}; name "
            "the .h5 file itself"
        )
    return weights[0], classifiers[0] if classifiers else None


def read_weights(path: Path, image_size: int) -> keras.Model:
    """Load a file that Keras wrote into VGG16's convolutional base.

    Raises a UserError if the file is not readable, holds another network, or contains NaN or infinity.
    """
    base = vgg16.convolutional_base(None, image_size)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            link = Path(folder) / f"network{_ending(path)}"
            link.symlink_to(path.resolve())
            base.load_weights(link)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{path}: not VGG16's weights without its classifier (include_top=False), as Keras writes them: {reason}"
        ) from None
    for layer in base.layers:
        if not all(np.isfinite(array).all() for array in layer.get_weights()):
            raise UserError(f"{path}: layer {layer.name}: holds numbers that are not finite")
    return base


def _ending(path: Path) -> str:
    """Return the ending that Keras wants for this content; it takes the format of a file from its name."""
    if zipfile.is_zipfile(path):
        return ".keras"
    with h5py.File(path, "r") as file:
        return ".weights.h5" if "layers" in file else ".h5"


def read_classifier(path: Path, image_size: int) -> tuple[list[str], list[str], tuple[np.ndarray, np.ndarray]]:
    """Return a classifier's class names, class ids (empty if unknown), and float32 kernel and bias.

    Raises a UserError if the file is unreadable, lacks an array, or an array has another shape than VGG16 needs at this
    image size.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not readable as arrays: {' '.join(str(error).split())}") from None
    missing = {"kernel", "bias", "names"} - arrays.keys()
    if missing:
        raise UserError(f"{path}: holds no {min(missing)!r}; a classifier is kernel, bias, names, and wnids if known")
    features, classes = int(np.prod(activation_shape(LAYERS[-1], image_size))), len(arrays["names"])
    for name, shape in {"kernel": (features, classes), "bias": (classes,), "wnids": (classes,)}.items():
        if name in arrays and arrays[name].shape != shape:
            raise UserError(
                f"{path}: {name}: has the shape {arrays[name].shape}; needed: {shape}, for {classes} names and VGG16's "
                f"{features} features at data.image_size {image_size}"
            )
    names, ids = (list(map(str, arrays.get(key, []))) for key in ("names", "wnids"))
    return names, ids, (arrays["kernel"].astype(np.float32), arrays["bias"].astype(np.float32))


def _thin_history(steps: pd.DataFrame, rows: int = 100) -> pd.DataFrame:
    """Average a per-update history down to about `rows` rows, for a readable curve."""
    group = np.arange(len(steps)) * min(rows, len(steps)) // len(steps)
    means = steps.groupby(group)[["loss", "accuracy"]].mean()
    means.insert(0, "images_seen", steps.groupby(group)["images_seen"].last())
    return means.reset_index(drop=True)
