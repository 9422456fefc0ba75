"""Build the two networks trained from random weights: the notes' CNN, and the classifier on features.

Both return logits. `build_whole` turns them into models from raw images to probabilities. Remedies are passed to the
layers' constructors, because Keras silently ignores a regulariser set on a built layer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from fitgap.definitions.determinism import derive_seed
from fitgap.params.sections import HeadLayers, Scratch
from fitgap.params.variants import Variant
from fitgap.remedies.remedy import Remedy, Site

UNIT_SIZE = "unit_size"  # the layer that divides features by one number
TINY = 1e-12  # added to the mean square, so that features that are all 0 stay 0


@dataclass(frozen=True)
class RemediedLayers:
    """Build named layers with a variant's remedies applied."""

    variant: Variant
    momentum: float
    seed: int

    @cached_property
    def remedies(self) -> list[Remedy]:
        """The variant's active remedies."""
        return self.variant.active

    def images(self, x):
        """Apply the remedies to images scaled to [0, 1]."""
        return self._act("on_images", x, "image")

    def dense(self, x, units: int, name: str):
        """Add Dense -> ReLU, with the remedies before the activation and after the block."""
        layer = keras.layers.Dense(units, name=name, **self._kernel(name))
        return self.end_block(self._activated(layer(x), name), name)

    def convolution(self, x, filters: int, name: str):
        """Add Conv2D 3x3 -> ReLU, with the remedies before the activation."""
        layer = keras.layers.Conv2D(filters, 3, padding="same", name=name, **self._kernel(name))
        return self._activated(layer(x), name)

    def logits(self, x, classes: int):
        """Add the output layer: dense, without activation, float32."""
        return keras.layers.Dense(classes, name="logits", **self._kernel("logits"))(x)

    def end_block(self, x, name: str):
        """Apply the remedies after a pooling layer or the dense layer."""
        return self._act("after_block", x, name)

    def _activated(self, x, name: str):
        return keras.layers.ReLU(name=f"{name}_relu")(self._act("before_activation", x, name))

    def _act(self, method: str, x, name: str):
        for remedy in self.remedies:
            x = getattr(remedy, method)(x, Site(name, self.seed, self.momentum))
        return x

    def _kernel(self, name: str) -> dict:
        options = {"kernel_initializer": keras.initializers.GlorotUniform(seed=derive_seed(self.seed, name))}
        for remedy in self.remedies:
            options |= remedy.kernel_options()
        return options


def build_cnn(image_size: int, classes: int, scratch: Scratch, variant: Variant, seed: int) -> keras.Model:
    """Build the notes' CNN: blocks of two convolutions and a pooling layer, then a dense layer and logits.

    The model maps uint8 RGB images (n, image_size, image_size, 3) to float32 logits (n, classes).
    """
    make = RemediedLayers(variant, scratch.batch_norm_momentum, seed)
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = make.images(keras.layers.Rescaling(1 / 255, name="scale_to_1")(images))
    for block, filters in enumerate(scratch.filters, start=1):
        x = make.convolution(x, filters, f"block{block}_conv1")
        x = make.convolution(x, filters, f"block{block}_conv2")
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
        x = make.end_block(x, f"block{block}")
    x = keras.layers.Flatten(name="flatten")(x)
    x = make.dense(x, scratch.dense_units, "dense")
    return keras.Model(images, make.logits(x, classes), name="scratch")


def build_classifier(
    features: tuple[int, ...], classes: int, head: HeadLayers, variant: Variant, seed: int
) -> keras.Model:
    """Build the classifier on frozen features: scaled to unit size, a dense layer unless it has 0 units, then logits.

    One number scales all features (`set_unit_size`): unit by unit, units that are almost always zero would blow up.

    The model maps float32 (n, *features) to float32 logits (n, classes).
    """
    make = RemediedLayers(variant, head.batch_norm_momentum, seed)
    inputs = keras.Input(features, name="features")
    pools = {"flatten": keras.layers.Flatten, "average": keras.layers.GlobalAveragePooling2D}
    x = pools[head.pooling](name=head.pooling)(inputs)
    # A frozen batch normalisation of one channel: it divides by a number that is saved with the weights.
    options = {"center": False, "scale": False, "epsilon": TINY, "trainable": False}
    unit_size = keras.layers.BatchNormalization(**options, name=UNIT_SIZE)
    x = keras.layers.Reshape((-1, 1), name="one_channel")(x)
    x = keras.layers.Flatten(name="scaled")(unit_size(x))
    x = make.dense(x, head.dense_units, "dense") if head.dense_units else make.end_block(x, "scaled")
    return keras.Model(inputs, make.logits(x, classes), name="head")


def set_unit_size(network: keras.Model, features: np.ndarray) -> None:
    """Let a classifier divide what it sees by its root mean square over these features, float32 (n, ...)."""
    scale = network.get_layer(UNIT_SIZE)
    seen = keras.Model(network.input, scale.input)(features)
    scale.set_weights([np.zeros(1), np.mean(np.square(seen), dtype=np.float64, keepdims=True).reshape(1)])


def build_whole(network: keras.Model, image_size: int, frozen: Iterable[keras.Layer] = ()) -> keras.Model:
    """Build a model for inference around a trained network, whose layers it shares.

    It maps uint8 (n, image_size, image_size, 3), RGB, to float32 class probabilities (n, classes).

    Parameters
    ----------
    network : sequential layers from an input to logits
    image_size : side of the images in pixels
    frozen : layers from raw images to the input of `network`, if it was trained on features
    """
    x = images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    for layer in [*frozen, *network.layers[1:]]:
        x = layer(x)
    return keras.Model(images, keras.layers.Softmax(name="probabilities")(x), name=network.name)
