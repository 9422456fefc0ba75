"""Build VGG16's convolutional base, whole or cut at the freeze point, from raw images or from cached features.

`convolutional_base` is the one place that builds Keras's VGG16 without its classifier. It sets the three arguments
that the notes explain: `weights`, `input_shape`, `include_top`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from fitgap.definitions.vgg16_layers import INPUT, cell_side, layers_between

# Mean of ImageNet's training images per channel, RGB, on the scale 0-255. VGG16 was published with this mean
# subtracted (arXiv:1409.1556, section 2.1), and Keras's `preprocess_input` subtracts the same values.
MEAN_RGB = (123.68, 116.779, 103.939)
SWAP = "rgb_to_bgr"  # the layer that converts RGB to BGR, which VGG16 was trained on, and subtracts the mean


@contextmanager
def _dtype_policy(precision: str) -> Iterator[None]:
    """Inside this context, new layers store their weights and compute in `precision`.

    Frozen weights need no float32 copy for updates. `keras.applications` takes no dtype argument, so the global
    policy is changed and restored.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def convolutional_base(weights: Path | str | None, image_size: int) -> keras.Model:
    """Build VGG16 without its classifier: from preprocessed images, float32 (n, size, size, 3), to `block5_pool`.

    Parameters
    ----------
    weights : a file in Keras's notop format, "imagenet" for Keras's download, or None for random weights
    image_size : side of the square input in pixels, at least 32
    """
    return keras.applications.VGG16(
        include_top=False,
        weights=None if weights is None else str(weights),
        input_tensor=keras.Input((image_size, image_size, 3), name="preprocessed"),
        input_shape=(image_size, image_size, 3),
    )


def preprocessing_layers() -> list[keras.Layer]:
    """Return the layers that convert RGB 0-255 to VGG16's input: BGR, mean subtracted, not scaled.

    They compute the same as `keras.applications.vgg16.preprocess_input`. As layers of the network, they let a saved
    model take raw images, modify no array in place, and need no custom objects to load.
    """
    swap = keras.layers.Conv2D(3, 1, trainable=False, name=SWAP)
    swap.build((None, None, None, 3))
    swap.set_weights([np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -np.float32(MEAN_RGB[::-1])])
    return [keras.layers.Rescaling(1.0, name="as_float"), swap]


def frozen_layers(weights: Path, image_size: int, top: str, precision: str = "float32") -> list[keras.Layer]:
    """Return the frozen layers from raw images, uint8 RGB, up to and including `top`."""
    with _dtype_policy(precision):
        base = convolutional_base(weights, image_size)
    base.trainable = False
    return preprocessing_layers() + [base.get_layer(name) for name in layers_between(INPUT, top)]


def frozen_base(weights: Path, image_size: int, tops: Iterable[str], precision: str = "float32") -> keras.Model:
    """Build the frozen base from raw images to the outputs of the layers `tops`, in one pass.

    It maps uint8 (n, size, size, 3), RGB, to a dict of float32 arrays by layer name. The name `image` in `tops` selects
    the preprocessed images, which are cached if no layer stays frozen.
    """
    x = images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    outputs = {}
    for layer in frozen_layers(weights, image_size, "block5_pool", precision):
        x = outputs[INPUT if layer.name == SWAP else layer.name] = layer(x)
    found = {name: keras.ops.cast(outputs[name], "float32") for name in tops}
    return keras.Model(images, found, name="frozen_base")


def cell_layers(layer: str, image_size: int) -> list[keras.Layer]:
    """Return what averages feature maps at `layer` into cells: one pooling layer, or none if they are small enough."""
    side = cell_side(layer, image_size)
    name = f"{layer}_cells"
    return [] if side == 1 else [keras.layers.AveragePooling2D(side, padding="same", name=name)]


def apply_layers(layers: Iterable[keras.Layer], x):
    """Apply layers to a tensor in sequence."""
    for layer in layers:
        x = layer(x)
    return x
