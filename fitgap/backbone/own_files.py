"""Weights of your own: an .h5 file, and beside it, if you have it, the classifier that was trained with it.

The classifier is an .npz file with `kernel` (features, classes) and `bias` (classes,) on flattened block5_pool,
`names` (classes,), and if the classes have them ids such as WordNet's, `wnids` (classes,).
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fitgap.backbone.layers import LAYERS, activation_shape
from fitgap.errors import UserError

KEY = "params.yaml: backbone.path"


@dataclass(frozen=True)
class Classifier:
    """A source classifier: kernel (features, classes) and bias (classes,), float32; ids are empty where unknown."""

    kernel: np.ndarray
    bias: np.ndarray
    names: list[str]
    ids: list[str]


def find(path: Path) -> tuple[Path, Path | None]:
    """Find the weights file and, where there is one, the classifier file: `path` is the .h5 or their folder."""
    if not path.exists():
        raise UserError(f"{KEY}: {str(path)!r}: not found; name an .h5 file of VGG16's weights or the folder of one")
    folder = path if path.is_dir() else path.parent
    weights = sorted(folder.glob("*.h5")) if path.is_dir() else [path]
    if len(weights) != 1:
        found = ", ".join(file.name for file in weights) or "none"
        raise UserError(f"{KEY}: {str(path)!r}: needs one .h5 file, holds {found}; name the file itself")
    classifiers = sorted(folder.glob("*.npz"))
    if len(classifiers) > 1:
        found = ", ".join(file.name for file in classifiers)
        raise UserError(f"{KEY}: {folder}: needs at most one .npz file (the classifier), holds {found}")
    return weights[0], classifiers[0] if classifiers else None


def classifier(path: Path, image_size: int) -> Classifier:
    """Read a classifier and check that it fits VGG16's output at this image size."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not readable as arrays: {' '.join(str(error).split())}") from None
    missing = [name for name in ("kernel", "bias", "names") if name not in held]
    if missing:
        raise UserError(f"{path}: holds no {missing[0]!r}; a classifier is kernel, bias, names, and wnids if known")
    _check(path, held, image_size)
    names, ids = ([str(one) for one in held.get(key, [])] for key in ("names", "wnids"))
    return Classifier(held["kernel"].astype(np.float32), held["bias"].astype(np.float32), names, ids)


def _check(path: Path, held: dict[str, np.ndarray], image_size: int) -> None:
    features, classes = int(np.prod(activation_shape(LAYERS[-1], image_size))), len(held["names"])
    wanted = {"kernel": (features, classes), "bias": (classes,), "wnids": (classes,)}
    for name, shape in wanted.items():
        if name in held and held[name].shape != shape:
            raise UserError(
                f"{path}: {name}: has the shape {held[name].shape}; needed: {shape}, for {classes} names and VGG16's "
                f"{features} features at data.image_size {image_size}"
            )
