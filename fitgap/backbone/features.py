"""The folder data/features/: activations of the frozen base, every image once, several layers in one pass.

<layer>.npy           float32, (images, ...), for the heads
below_<depth>.npy     float32, (images, ...): activations at the freeze point of a fine-tuning depth
features.json         which layer each file holds, its shape, the identity of images and base
"""

import io
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fitgap import disk
from fitgap.backbone import dense_maps, vgg16
from fitgap.backbone.layers import activation_shape, batches_at_once, freeze_point

ABOUT = "features.json"
BATCH = 512  # images of 32x32 pixels per step; with fewer the processor waits between layers


def files_needed(layer: str, depths: list[str]) -> dict[str, str]:
    """Say which files later stages read: file name without its ending -> layer whose activations it holds."""
    return {layer: layer, **{f"below_{depth}": freeze_point(depth) for depth in depths}}


def batch_size(image_size: int) -> int:
    """Say how many images of a size go through the base at once."""
    return max(1, min(BATCH, 2 * BATCH * 32**2 // image_size**2))


def forward(weights: Path, image_size: int, layers: Iterable[str], precision: str) -> Callable:
    """Compile the frozen base: uint8 (n, size, size, 3), RGB, to a dict of float32 activations by layer name."""
    network = vgg16.frozen_base(weights, image_size, layers, precision)
    signature = tf.TensorSpec((None, image_size, image_size, 3), tf.uint8)
    step = tf.function(lambda batch: network(batch, training=False), input_signature=[signature], autograph=False)
    with dense_maps.as_dense(network):
        step.get_concrete_function()
    return step


def extract(
    images: np.ndarray, weights: Path, files: dict[str, str], folder: Path, precision: str = "float32"
) -> tuple[dict[str, tuple[int, ...]], int]:
    """Run the frozen base once over all images and write what `files` names.

    Memory stays flat: images are read and activations written batch by batch. Not through memory maps: every
    page that they touch would count as the process's own. What a killed run left in `folder` is taken over, up
    to the last whole batch.

    Parameters
    ----------
    images : uint8, (n, size, size, 3)
    files : as `files_needed` gives
    precision : "float32", or "bfloat16", what the convolutions compute in; the files are float32 either way

    Returns
    -------
    Shape of each file's array, and for how many images the base was run.
    """
    step, size = forward(weights, images.shape[1], set(files.values()), precision), batch_size(images.shape[1])
    shapes = {name: (len(images), *activation_shape(layer, images.shape[1])) for name, layer in files.items()}
    begun = {name: _Growing(folder / f"{name}.npy", shape) for name, shape in shapes.items()}
    done = min(file.rows for file in begun.values()) // size * size
    left = sum(file.row_bytes for file in begun.values()) * (len(images) - done)
    disk.require(folder, left, f"features of {len(images):,} images")
    with ExitStack() as stack:
        opened = {name: stack.enter_context(file.continued(done)) for name, file in begun.items()}
        batches = (_rows(images, start, min(start + size, len(images))) for start in range(done, len(images), size))
        passes = activations(step, batches, batches_at_once(images.shape[1]))
        total = math.ceil((len(images) - done) / size)
        for found in tqdm(passes, "features", total, unit_scale=size, unit="images", disable=None):
            for name, layer in files.items():
                opened[name].write(found[layer].tobytes())
    return shapes, len(images) - done


def activations(step: Callable, batches: Iterable[np.ndarray], at_once: int = 1) -> Iterator[dict[str, np.ndarray]]:
    """Send batches through what `forward` gives, so many at once; give what comes out, in their order."""

    def one(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {layer: found.numpy() for layer, found in step(tf.constant(batch)).items()}

    with ThreadPoolExecutor(at_once) as pool:
        begun: deque = deque()
        for batch in batches:
            begun.append(pool.submit(one, batch))
            if len(begun) > at_once:  # no more than that stands in memory
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@dataclass(frozen=True)
class _Growing:
    """An .npy file of float32 that is written row by row, and may have been begun."""

    path: Path
    shape: tuple[int, ...]

    @property
    def header(self) -> bytes:
        held = io.BytesIO()
        np.lib.format.write_array_header_1_0(held, {"descr": "<f4", "fortran_order": False, "shape": self.shape})
        return held.getvalue()

    @property
    def row_bytes(self) -> int:
        return 4 * math.prod(self.shape[1:])

    @property
    def rows(self) -> int:
        """How many whole rows stand in it."""
        size = self.path.stat().st_size if self.path.exists() else 0
        return max(0, size - len(self.header)) // self.row_bytes

    @contextmanager
    def continued(self, rows: int) -> Iterator[IO[bytes]]:
        """Open it to write on after its first `rows` rows."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.write(self.header)
            file.truncate(len(self.header) + rows * self.row_bytes)
            file.seek(0, io.SEEK_END)
            yield file


def _rows(images: np.ndarray, start: int, end: int) -> np.ndarray:
    """Give some images; from a memory-mapped file by reading them, so that no page stays mapped."""
    if not isinstance(images, np.memmap):
        return images[start:end]
    each = math.prod(images.shape[1:])
    read = np.fromfile(images.filename, images.dtype, (end - start) * each, offset=images.offset + start * each)
    return read.reshape(end - start, *images.shape[1:])


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Leave features.json."""
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
