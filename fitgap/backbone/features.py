"""Extract the frozen base's activations into data/features/: several layers in one pass over the images.

cells/<layer>.npy     float32, (images, ...): cells of the layer's feature maps, which heads and probes see
below_<depth>.npy     float32, (images, ...): activations at the freeze point of a fine-tuning depth
features.json         layer and shape of each file, identity of the images and the base
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fitgap.data.arrays import Rows, has_shape, write_rows
from fitgap.definitions.vgg16_layers import activation_shape, feature_shape, freeze_point
from fitgap.networks import vgg16
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.files import require_space
from fitgap.system.progress import Progress

ABOUT, PROGRESS = "features.json", "features-batches"
Passes = Callable[[Sequence[int]], Iterable[tuple[int, dict[str, np.ndarray]]]]
BATCH = 512  # images of 32x32 pixels per step; smaller batches leave the processor idle between layers


def feature_files(layers: list[str], depths: list[str]) -> dict[str, str]:
    """Return the feature files that later stages read: file name without extension -> layer of its activations."""
    return {layer: layer for layer in layers} | {f"below_{depth}": freeze_point(depth) for depth in depths}


def file_shape(name: str, layer: str, image_size: int) -> tuple[int, ...]:
    """Return the shape of one image's row in a feature file."""
    return (feature_shape if name == layer else activation_shape)(layer, image_size)


def batch_size(image_size: int) -> int:
    """Return the number of images per batch, given their side in pixels."""
    return max(1, min(BATCH, 2 * BATCH * 32**2 // image_size**2))


def extract_features(
    images: np.ndarray, files: dict[str, str], checkpoint: Checkpoint, passes: Passes
) -> tuple[dict[str, tuple[int, ...]], int]:
    """Run the frozen base once over all images and write `files` into the checkpoint's folder.

    Return the shape of each file's array, and the number of images that the base was run on. Memory use is constant:
    activations are written batch by batch. A killed run is resumed with the batches that it has not finished.

    Parameters
    ----------
    images : uint8, (n, size, size, 3)
    files : as returned by `feature_files`
    passes : takes the first row of each batch; yields first rows and their rows of each file, in any order
    """
    count, side, size = len(images), images.shape[1], batch_size(images.shape[1])
    shapes = {name: (count, *file_shape(name, layer, side)) for name, layer in files.items()}
    paths = {name: checkpoint.folder / f"{name}.npy" for name in files}
    done = _finished_batches(checkpoint, paths, shapes, math.ceil(count / size))
    missing = [number * size for number in np.flatnonzero(~done).tolist()]
    for start, activations in Progress(passes(missing), "features", len(missing), unit_scale=size, unit="images"):
        for name in files:
            write_rows(paths[name], start, activations[name])
        done[start // size] = True
        checkpoint.save(PROGRESS, done)
    return shapes, sum(min(size, count - start) for start in missing)


def _finished_batches(
    checkpoint: Checkpoint, paths: dict[str, Path], shapes: dict[str, tuple[int, ...]], count: int
) -> np.ndarray:
    """Return which batches an earlier run has finished, bool (count,); create the files if there was none."""
    progress = checkpoint.load(PROGRESS)
    if progress is not None and all(has_shape(paths[name], shapes[name]) for name in paths):
        return progress
    size = 4 * sum(math.prod(shape) for shape in shapes.values())
    require_space(checkpoint.folder, size, "features of the images")
    # First: the new files hold zeros, and old entries would let a later run take these for finished rows.
    checkpoint.save(PROGRESS, np.zeros(count, bool))
    for name, path in paths.items():
        np.lib.format.open_memmap(path, "w+", np.float32, shapes[name])  # zeros
    return np.zeros(count, bool)


class FrozenBase:
    """The frozen base, compiled once: activations of batches of images.

    Parameters
    ----------
    weights : VGG16's in Keras's notop format
    image_size : side of the images in pixels
    files : as returned by `feature_files`
    precision : "float32" or "bfloat16", the dtype of the convolutions; activations are float32 in both cases
    """

    def __init__(self, weights: Path, image_size: int, files: dict[str, str], precision: str = "float32"):
        network = vgg16.frozen_base(weights, image_size, set(files.values()), precision)
        cells = {name: vgg16.cell_layers(name, image_size) if name == layer else [] for name, layer in files.items()}
        signature = tf.TensorSpec((None, image_size, image_size, 3), tf.uint8)

        def step(batch):
            outputs = network(batch, training=False)
            return {name: vgg16.apply_layers(cells[name], outputs[layer]) for name, layer in files.items()}

        self._step = tf.function(step, input_signature=[signature], autograph=False)

    def activations(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows of each file, float32, of RGB images, uint8 (n, size, size, 3)."""
        return {name: values.numpy() for name, values in self._step(tf.constant(batch)).items()}

    def activations_from(self, images: np.ndarray, start: int) -> dict[str, np.ndarray]:
        """Return the activations of the batch of images that begins with row `start`; the last one may be smaller."""
        end = min(start + batch_size(images.shape[1]), len(images))
        return self.activations(Rows(images, np.arange(start, end))[:])


def write_feature_info(folder: Path, about: dict[str, Any]) -> None:
    """Write features.json."""
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
