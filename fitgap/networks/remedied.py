"""The two networks that are trained from random weights: the notes' CNN, and the classifier on features.

Both end in logits; `whole` makes of them what leaves the pipeline: raw images in, probabilities out. Remedies are
given to the layers' constructors: regularisers set on a built layer would be ignored without a word.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import keras

from fitgap.determinism import derived_seed
from fitgap.params import Head, Scratch, Variant


@dataclass(frozen=True)
class RemediedLayers:
    """Makes named layers with a variant's remedies built in.

    BatchNormalization stands between a layer and its activation (Ioffe & Szegedy 2015, arXiv:1502.03167);
    dropout is Keras's inverted dropout (Srivastava et al. 2014, JMLR 15:1929-1958).
    """

    variant: Variant
    momentum: float
    seed: int

    def dense(self, x, units: int, name: str):
        """Dense -> BatchNormalization -> ReLU -> Dropout, as far as the variant has them."""
        layer = keras.layers.Dense(units, name=name, **self._kernel(name))
        return self.dropout(self._activated(layer(x), name), name)

    def convolution(self, x, filters: int, name: str):
        """Conv2D 3x3 -> BatchNormalization -> ReLU, as far as the variant has them."""
        layer = keras.layers.Conv2D(filters, 3, padding="same", name=name, **self._kernel(name))
        return self._activated(layer(x), name)

    def logits(self, x, classes: int):
        """Close the network: a dense layer without an activation, float32."""
        return keras.layers.Dense(classes, name="logits", **self._kernel("logits"))(x)

    def dropout(self, x, name: str):
        """Leave out units in training; nothing is added where the variant has no dropout."""
        if not self.variant.dropout:
            return x
        name = f"{name}_dropout"
        return keras.layers.Dropout(self.variant.dropout, seed=derived_seed(self.seed, name), name=name)(x)

    def _activated(self, x, name: str):
        if self.variant.batch_norm:
            x = keras.layers.BatchNormalization(momentum=self.momentum, name=f"{name}_norm")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def _kernel(self, name: str) -> dict:
        penalised = self.variant.l1 or self.variant.l2
        return {
            "kernel_initializer": keras.initializers.GlorotUniform(seed=derived_seed(self.seed, name)),
            "kernel_regularizer": keras.regularizers.L1L2(self.variant.l1, self.variant.l2) if penalised else None,
        }


def cnn(image_size: int, classes: int, scratch: Scratch, variant: Variant, seed: int) -> keras.Model:
    """Build the notes' CNN: blocks of two convolutions and a pooling, a dense layer, logits.

    From uint8 (n, image_size, image_size, 3), RGB, to float32 logits (n, classes).
    """
    make = RemediedLayers(variant, scratch.batch_norm_momentum, seed)
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale_to_1")(images)
    for block, filters in enumerate(scratch.filters, start=1):
        x = make.convolution(x, filters, f"block{block}_conv1")
        x = make.convolution(x, filters, f"block{block}_conv2")
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
        x = make.dropout(x, f"block{block}")
    x = keras.layers.Flatten(name="flatten")(x)
    x = make.dense(x, scratch.dense_units, "dense")
    return keras.Model(images, make.logits(x, classes), name="scratch")


def classifier(features: tuple[int, ...], classes: int, head: Head, variant: Variant, seed: int) -> keras.Model:
    """Build the classifier that stands on frozen features: a dense layer, logits.

    From float32 (n, *features) to float32 logits (n, classes).
    """
    make = RemediedLayers(variant, head.batch_norm_momentum, seed)
    inputs = keras.Input(features, name="features")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = make.dense(x, head.dense_units, "dense")
    return keras.Model(inputs, make.logits(x, classes), name="head")


def whole(network: keras.Model, image_size: int, frozen: Iterable[keras.Layer] = ()) -> keras.Model:
    """Close a trained network for use: raw images in, class probabilities out.

    Parameters
    ----------
    network : a chain of layers from an input to logits
    image_size : side of the images in pixels
    frozen : the layers from raw images to the input of `network`, where it was trained on features

    Returns
    -------
    Model from uint8 (n, image_size, image_size, 3), RGB, to float32 probabilities (n, classes). It shares
    its layers with `network`.
    """
    x = images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    for layer in [*frozen, *network.layers[1:]]:
        x = layer(x)
    return keras.Model(images, keras.layers.Softmax(name="probabilities")(x), name=network.name)
