"""VGG16's convolutional base, whole or cut at the freeze point, from raw images or from cached features.

The three arguments of the notes stand in `convolutional_base`, the one place where Keras's VGG16 is built:
`weights`, `input_shape`, `include_top`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from fitgap.definitions.vgg16_layers import INPUT, layers_between

# Mean of ImageNet's training images per channel, RGB, on the scale 0-255; what VGG16 has subtracted since it
# was published (arXiv:1409.1556, section 2.1), and Keras's `preprocess_input` with it.
MEAN_RGB = (123.68, 116.779, 103.939)
SWAP = "rgb_to_bgr"  # the layer that turns RGB into the BGR that VGG16 was trained on, and subtracts the mean


@contextmanager
def _dtype_policy(precision: str) -> Iterator[None]:
    """Build layers that keep their weights and compute in a precision: frozen weights need none for updates.

    `keras.applications` knows no other way to say so.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def convolutional_base(weights: Path | str | None, image_size: int) -> keras.Model:
    """Build VGG16 without its classifier.

    Parameters
    ----------
    weights : a file in Keras's notop format, "imagenet" for what Keras downloads, or None for random weights
    image_size : side of the square input in pixels, at least 32

    Returns
    -------
    Model from preprocessed images, float32 (n, size, size, 3), to `block5_pool`.
    """
    return keras.applications.VGG16(
        include_top=False,
        weights=None if weights is None else str(weights),
        input_tensor=keras.Input((image_size, image_size, 3), name="preprocessed"),
        input_shape=(image_size, image_size, 3),
    )


def preprocessing_layers() -> list[keras.Layer]:
    """Give the layers that turn RGB 0-255 into what VGG16 expects: BGR, mean subtracted, not scaled.

    They do what `keras.applications.vgg16.preprocess_input` does, but as plain layers: they belong to the
    network, so that a saved model takes raw images; they change no array in place; and any Keras loads them.
    """
    swap = keras.layers.Conv2D(3, 1, trainable=False, name=SWAP)
    swap.build((None, None, None, 3))
    swap.set_weights([np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -np.float32(MEAN_RGB[::-1])])
    return [keras.layers.Rescaling(1.0, name="as_float"), swap]


def frozen_layers(weights: Path, image_size: int, top: str, precision: str = "float32") -> list[keras.Layer]:
    """Give the layers from raw images, uint8 RGB, up to and including `top`; none of them is trained."""
    with _dtype_policy(precision):
        base = convolutional_base(weights, image_size)
    base.trainable = False
    return preprocessing_layers() + [base.get_layer(name) for name in layers_between(INPUT, top)]


def frozen_base(weights: Path, image_size: int, tops: Iterable[str], precision: str = "float32") -> keras.Model:
    """Build the frozen base from raw images to each of the layers `tops`, one pass for all.

    Returns
    -------
    Model from uint8 (n, size, size, 3), RGB, to a dict of float32 arrays by layer name. `image` as a top
    gives the preprocessed images: what is cached where nothing stays frozen.
    """
    x = images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    outputs = {}
    for layer in frozen_layers(weights, image_size, "block5_pool", precision):
        x = outputs[INPUT if layer.name == SWAP else layer.name] = layer(x)
    found = {name: keras.ops.cast(outputs[name], "float32") for name in tops}
    return keras.Model(images, found, name="frozen_base")


def upper_layers(base: keras.Model, below: str, top: str) -> list[keras.Layer]:
    """Give the layers of `base` above the freeze point `below`, up to and including `top`."""
    return [base.get_layer(name) for name in layers_between(below, top)]


def apply_layers(layers: Iterable[keras.Layer], x):
    """Send a tensor through layers one after the other."""
    for layer in layers:
        x = layer(x)
    return x
