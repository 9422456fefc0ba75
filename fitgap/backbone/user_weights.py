"""Read user-provided weights: VGG16's convolutions from an .h5 file, its classifier from an .npz file in its folder.

Keras 3's `save_weights` writes `layers/conv2d_4/vars/0`. Older versions, and the published ImageNet file, write one
group per layer and list the groups in attributes. `model.save` writes the latter into the group `model_weights` of an
.h5 file, or the former into `model.weights.h5` inside a .keras file. All contain the 13 convolutions in order, each
with a kernel and a bias.

The classifier is optional: `kernel` (features, classes) and `bias` (classes,) on flattened block5_pool, `names`
(classes,), and, if the classes have ids such as WordNet's, `wnids` (classes,).
"""

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from fitgap.definitions.vgg16_layers import FILTERS_PER_BLOCK, LAYERS, activation_shape
from fitgap.system.errors import UserError

CONVOLUTIONS = tuple(name for name in LAYERS if not name.endswith("_pool"))
WEIGHTS_IN_KERAS = "model.weights.h5"
Weights = dict[str, tuple[np.ndarray, np.ndarray]]


def expected_shapes() -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shapes of each convolution's kernel, (3, 3, channels, filters), and bias, (filters,)."""
    channels, shapes = 3, {}
    for name in CONVOLUTIONS:
        filters = FILTERS_PER_BLOCK[name.split("_")[0]]
        shapes[name] = (3, 3, channels, filters), (filters,)
        channels = filters
    return shapes


def read_weights(path: Path) -> Weights:
    """Read the convolutional base's weights: layer name -> kernel and bias, float32.

    Raises
    ------
    UserError
        If the file is not HDF5, contains another network, or contains NaN or infinity. The message names the first
        layer that differs, with its shapes in the file and in VGG16.
    """
    try:
        with _open(path) as file:
            found = _legacy(file) if "layer_names" in file.attrs else _keras3(file)
            return _check_layers(path, found)
    except OSError as error:
        raise UserError(f"{path}: not readable as an HDF5 file of weights: {_line(error)}; copy it again") from None


@contextmanager
def _open(path: Path) -> Iterator[h5py.Group]:
    """Open the group that holds the weights, in a file of weights or of a whole model."""
    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            yield file.get("model_weights", file)
        return
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS_IN_KERAS not in archive.namelist():
            raise UserError(
                f"{path}: an archive without {WEIGHTS_IN_KERAS}; give a .keras file, or an .h5 file of weights"
            )
        with h5py.File(io.BytesIO(archive.read(WEIGHTS_IN_KERAS)), "r") as file:
            yield file


def _keras3(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    layers = file.get("layers", {})
    groups = [(name, layers[name]["vars"]) for name in layers if "vars" in layers[name]]
    filled = sorted(((name, held) for name, held in groups if len(held)), key=_sort_key)  # an input layer has none
    return [(name, [held[key] for key in sorted(held, key=int)]) for name, held in filled]


def _sort_key(item: tuple[str, h5py.Group]) -> tuple[str, int]:
    """Return a key that sorts conv2d_10 after conv2d_9, conv2d before both, and other kinds after convolutions."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", item[0]).groups()
    return stem, int(number or 0)


def _legacy(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    names = [_text(name) for name in file.attrs["layer_names"]]
    held = [(name, [file[name][_text(one)] for one in file[name].attrs["weight_names"]]) for name in names]
    return [(name, arrays) for name, arrays in held if arrays]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _check_layers(path: Path, found: list[tuple[str, list[h5py.Dataset]]]) -> Weights:
    weights = {}
    for (expected, shapes), (name, arrays) in zip(expected_shapes().items(), found, strict=False):
        held = tuple(array.shape for array in arrays)
        if held != shapes:
            raise UserError(f"{path}: layer {expected}: holds {name} with {_shapes(held)}; VGG16 has {_shapes(shapes)}")
        weights[expected] = tuple(np.asarray(array, np.float32) for array in arrays)
        if not all(np.isfinite(array).all() for array in weights[expected]):
            raise UserError(f"{path}: layer {expected}: holds numbers that are not finite; make the file anew")
    if len(found) < len(CONVOLUTIONS):
        missing = CONVOLUTIONS[len(found)]
        raise UserError(f"{path}: layer {missing}: missing; the file holds {len(found)} layers with weights, VGG16 13")
    if len(found) > len(CONVOLUTIONS):
        extra = found[len(CONVOLUTIONS)][0]
        raise UserError(f"{path}: layer {extra}: too many; give a file without the classifier (include_top=False)")
    return weights


def _shapes(shapes: tuple[tuple[int, ...], ...]) -> str:
    return " and ".join(str(shape) for shape in shapes) or "no weights"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


KEY = "params.yaml: backbone.path"


@dataclass(frozen=True)
class Classifier:
    """A source classifier: kernel (features, classes) and bias (classes,), float32; ids are empty where unknown."""

    kernel: np.ndarray
    bias: np.ndarray
    names: list[str]
    ids: list[str]


def find_files(path: Path) -> tuple[Path, Path | None]:
    """Return the weights file and the classifier file (None if absent).

    A folder holds a network: its .h5 file and, for way 1, its .npz file. An .h5 file stands for itself: an .npz file
    beside it may belong to other weights, and DVC would not see it change.

    Raises
    ------
    UserError
        If `path` does not exist, or is a folder without exactly one .h5 file and at most one .npz file.
    """
    if not path.exists():
        raise UserError(f"{KEY}: {str(path)!r}: not found; name an .h5 file of VGG16's weights or the folder of one")
    if not path.is_dir():
        return path, None
    weights, classifiers = sorted(path.glob("*.h5")), sorted(path.glob("*.npz"))
    if len(weights) != 1:
        found = ", ".join(file.name for file in weights) or "none"
        raise UserError(f"{KEY}: {str(path)!r}: needs one .h5 file, holds {found}; name the file itself")
    if len(classifiers) > 1:
        found = ", ".join(file.name for file in classifiers)
        raise UserError(f"{KEY}: {str(path)!r}: needs at most one .npz file (the classifier), holds {found}")
    return weights[0], classifiers[0] if classifiers else None


def read_classifier(path: Path, image_size: int) -> Classifier:
    """Read a classifier and check that it fits VGG16's output at this image size.

    Raises
    ------
    UserError
        If the file is unreadable, lacks an array, or an array has another shape than VGG16 needs.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not readable as arrays: {' '.join(str(error).split())}") from None
    missing = [name for name in ("kernel", "bias", "names") if name not in held]
    if missing:
        raise UserError(f"{path}: holds no {missing[0]!r}; a classifier is kernel, bias, names, and wnids if known")
    _check_classifier(path, held, image_size)
    names, ids = ([str(one) for one in held.get(key, [])] for key in ("names", "wnids"))
    return Classifier(held["kernel"].astype(np.float32), held["bias"].astype(np.float32), names, ids)


def _check_classifier(path: Path, held: dict[str, np.ndarray], image_size: int) -> None:
    features, classes = int(np.prod(activation_shape(LAYERS[-1], image_size))), len(held["names"])
    wanted = {"kernel": (features, classes), "bias": (classes,), "wnids": (classes,)}
    for name, shape in wanted.items():
        if name in held and held[name].shape != shape:
            raise UserError(
                f"{path}: {name}: has the shape {held[name].shape}; needed: {shape}, for {classes} names and VGG16's "
                f"{features} features at data.image_size {image_size}"
            )
