"""Reading VGG16's convolutional weights from a file, whichever Keras wrote it, and saying what does not fit.

Keras 3 writes `layers/conv2d_4/vars/0`, older versions (and the published ImageNet file) a group per layer
that its attributes name. Both hold the 13 convolutions in their order, a kernel and a bias each.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from fitgap.backbone.layers import FILTERS_PER_BLOCK, LAYERS
from fitgap.errors import UserError

CONVOLUTIONS = tuple(name for name in LAYERS if not name.endswith("_pool"))
Weights = dict[str, tuple[np.ndarray, np.ndarray]]


def expected_shapes() -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Give the shapes of each convolution's kernel, (3, 3, channels, filters), and bias, (filters,)."""
    channels, shapes = 3, {}
    for name in CONVOLUTIONS:
        filters = FILTERS_PER_BLOCK[name.split("_")[0]]
        shapes[name] = (3, 3, channels, filters), (filters,)
        channels = filters
    return shapes


def read(path: Path) -> Weights:
    """Read the convolutional base's weights: layer name -> kernel and bias, float32.

    Raises
    ------
    UserError
        If the file is no HDF5 file, holds another network, or numbers that are not finite: it names the first
        layer that differs, what it holds and what VGG16 has there.
    """
    try:
        with h5py.File(path, "r") as file:
            found = _legacy(file) if "layer_names" in file.attrs else _keras3(file)
            return _checked(path, found)
    except OSError as error:
        raise UserError(f"{path}: not readable as an HDF5 file of weights: {_line(error)}; copy it again") from None


def _keras3(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    layers = file.get("layers", {})
    groups = [(name, layers[name]["vars"]) for name in layers if "vars" in layers[name]]
    filled = sorted(((name, held) for name, held in groups if len(held)), key=_order)  # an input layer's is empty
    return [(name, [held[key] for key in sorted(held, key=int)]) for name, held in filled]


def _order(item: tuple[str, h5py.Group]) -> tuple[str, int]:
    """Sort conv2d_10 after conv2d_9, and conv2d before both; layers of other kinds after convolutions."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", item[0]).groups()
    return stem, int(number or 0)


def _legacy(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    names = [_text(name) for name in file.attrs["layer_names"]]
    held = [(name, [file[name][_text(one)] for one in file[name].attrs["weight_names"]]) for name in names]
    return [(name, arrays) for name, arrays in held if arrays]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _checked(path: Path, found: list[tuple[str, list[h5py.Dataset]]]) -> Weights:
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
