"""The folder data/features/: activations of the frozen base, every image once, several layers in one pass.

<layer>.npy           float32, (images, ...), for the heads
below_<depth>.npy     float32, (images, ...): activations at the freeze point of a fine-tuning depth
features.json         which layer each file holds, its shape, the identity of images and base
"""

import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fitgap import disk
from fitgap.backbone import vgg16
from fitgap.backbone.layers import freeze_point
from fitgap.images.prepared import PreparedImages

ABOUT = "features.json"
BATCH = 256  # images of 32x32 pixels per step; larger is not faster on two cores


def files_needed(layer: str, depths: list[str]) -> dict[str, str]:
    """Say which files later stages read: file name without its ending -> layer whose activations it holds."""
    return {layer: layer, **{f"below_{depth}": freeze_point(depth) for depth in depths}}


def extract(images: np.ndarray, weights: Path, files: dict[str, str], folder: Path) -> dict[str, tuple[int, ...]]:
    """Run the frozen base once over all images and write what `files` names.

    Memory stays flat: images are read and activations written batch by batch. Not through memory maps: every
    page that they touch would count as the process's own.

    Parameters
    ----------
    images : uint8, (n, size, size, 3)
    files : as `files_needed` gives

    Returns
    -------
    Shape of each file's array.
    """
    network = vgg16.frozen_base(weights, images.shape[1], set(files.values()))
    shapes = {name: (len(images), *network.output[layer].shape[1:]) for name, layer in files.items()}
    disk.require(folder, sum(4 * math.prod(shape) for shape in shapes.values()), f"features of {len(images):,} images")
    signature = tf.TensorSpec((None, *images.shape[1:]), tf.uint8)
    step = tf.function(lambda batch: network(batch, training=False), input_signature=[signature], autograph=False)
    with ExitStack() as stack:
        opened = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in files}
        for name, file in opened.items():
            header = {"descr": "<f4", "fortran_order": False, "shape": shapes[name]}
            np.lib.format.write_array_header_1_0(file, header)
        size = max(1, min(BATCH, 4 * BATCH * 32**2 // images.shape[1] ** 2))
        starts = range(0, len(images), size)
        for start in tqdm(starts, desc="features", unit_scale=size, unit="images", disable=None):
            activations = step(tf.constant(_rows(images, start, min(start + size, len(images)))))
            for name, layer in files.items():
                opened[name].write(activations[layer].numpy().tobytes())
    return shapes


def _rows(images: np.ndarray, start: int, end: int) -> np.ndarray:
    """Give some images; from a memory-mapped file by reading them, so that no page stays mapped."""
    if not isinstance(images, np.memmap):
        return images[start:end]
    each = math.prod(images.shape[1:])
    read = np.fromfile(images.filename, images.dtype, (end - start) * each, offset=images.offset + start * each)
    return read.reshape(end - start, *images.shape[1:])


def splits(file: Path, images: PreparedImages) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Give one file's features with labels, by split; the arrays are memory-mapped."""
    features = np.load(file, mmap_mode="r")
    return {name: (features[rows], images.labels[rows]) for name, rows in images.rows.items()}


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Leave features.json."""
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """Read features.json: `files`, `shapes`, and the identities `data` and `backbone`."""
    return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
