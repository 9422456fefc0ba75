"""The folder data/features/: activations of the frozen base, every image once, several layers in one pass.

<layer>.npy           float32, (images, ...), for the heads
below_<depth>.npy     float32, (images, ...): activations at the freeze point of a fine-tuning depth
features.json         which layer each file holds, its shape, the identity of images and base
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.lib.format import open_memmap
from tqdm import tqdm

from fitgap.backbone import vgg16
from fitgap.backbone.layers import freeze_point
from fitgap.images.prepared import PreparedImages

ABOUT = "features.json"
BATCH = 256  # images per step; larger is not faster on two cores


def files_needed(layer: str, depths: list[str]) -> dict[str, str]:
    """Say which files later stages read: file name without its ending -> layer whose activations it holds."""
    return {layer: layer, **{f"below_{depth}": freeze_point(depth) for depth in depths}}


def extract(images: np.ndarray, weights: Path, files: dict[str, str], folder: Path) -> dict[str, tuple[int, ...]]:
    """Run the frozen base once over all images and write what `files` names.

    Memory stays flat: images are read and activations written batch by batch, through memory-mapped files.

    Parameters
    ----------
    images : uint8, (n, size, size, 3)
    files : as `files_needed` gives

    Returns
    -------
    Shape of each file's array.
    """
    network = vgg16.frozen_base(weights, images.shape[1], set(files.values()))
    arrays = {
        name: open_memmap(folder / f"{name}.npy", "w+", np.float32, (len(images), *network.output[layer].shape[1:]))
        for name, layer in files.items()
    }
    signature = tf.TensorSpec((None, *images.shape[1:]), tf.uint8)
    step = tf.function(lambda batch: network(batch, training=False), input_signature=[signature], autograph=False)
    for rows in tqdm(list(_slices(len(images))), desc="features", unit_scale=BATCH, unit="images", disable=None):
        activations = step(tf.constant(images[rows]))
        for name, layer in files.items():
            arrays[name][rows] = activations[layer].numpy()
    for array in arrays.values():
        array.flush()
    return {name: array.shape for name, array in arrays.items()}


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


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + BATCH) for start in range(0, count, BATCH))
