"""VGG16 with batch normalisation for training from random weights, and its conversion to a plain VGG16.

A plain 13-layer VGG16 barely learns from scratch in a few minutes: its authors trained a shallower network first
and initialised the deeper one with its weights (Simonyan and Zisserman 2014, arXiv:1409.1556, section 3.1). Batch
normalisation after each convolution (Ioffe and Szegedy 2015, arXiv:1502.03167) makes that unnecessary. At inference
it is a fixed scale and shift of each channel, so it can be folded into the preceding convolution. The folded network
has exactly the layers of `keras.applications.VGG16`.
"""

from collections.abc import Iterator

import keras
import numpy as np

from fitgap.definitions.determinism import derive_seed
from fitgap.definitions.vgg16_layers import CONVOLUTIONS_PER_BLOCK, FILTERS_PER_BLOCK
from fitgap.networks import vgg16

CLASSIFIER = "classifier"
MOMENTUM = 0.9  # of the moving statistics; Keras's default of 0.99 lags behind over a few hundred updates


def _convolutions() -> Iterator[tuple[str, str]]:
    """Yield the block and layer name of each convolution, from input to output."""
    for block, count in CONVOLUTIONS_PER_BLOCK.items():
        yield from ((block, f"{block}_conv{number}") for number in range(1, count + 1))


def build_batch_normalised(image_size: int, class_count: int, seed: int, policy: str = "float32") -> keras.Model:
    """Build VGG16 with batch normalisation after each convolution and one dense layer on flattened `block5_pool`.

    It maps RGB images 0-255, (n, image_size, image_size, 3), to float32 logits, (n, class_count).

    Parameters
    ----------
    image_size : side of the square images in pixels, at least 32, because five pooling layers halve it
    class_count : number of source classes
    seed : of the initial weights (He et al. 2015, arXiv:1502.01852, for the convolutions)
    policy : Keras dtype policy of the convolutional base
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    outputs = vgg16.apply_layers(vgg16.preprocessing_layers(), inputs)
    for block, name in _convolutions():
        outputs = vgg16.apply_layers(_convolution(name, FILTERS_PER_BLOCK[block], seed, policy), outputs)
        if name == f"{block}_conv{CONVOLUTIONS_PER_BLOCK[block]}":
            outputs = keras.layers.MaxPooling2D(2, dtype=policy, name=f"{block}_pool")(outputs)
    initial = keras.initializers.GlorotUniform(seed=derive_seed(seed, CLASSIFIER))
    outputs = keras.layers.Flatten(dtype=policy, name="flatten")(outputs)
    outputs = keras.layers.Dense(class_count, kernel_initializer=initial, dtype="float32", name=CLASSIFIER)(outputs)
    return keras.Model(inputs, outputs, name="vgg16_batch_norm")


def _convolution(name: str, filters: int, seed: int, policy: str) -> list[keras.layers.Layer]:
    """Return convolution, batch normalisation and ReLU. No bias: the normalisation's shift replaces it."""
    initial = keras.initializers.HeNormal(seed=derive_seed(seed, name))
    return [
        keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer=initial, dtype=policy, name=name
        ),
        keras.layers.BatchNormalization(momentum=MOMENTUM, dtype=policy, name=f"{name}_norm"),
        keras.layers.ReLU(dtype=policy, name=f"{name}_relu"),
    ]


def fold_batch_norm(network: keras.Model) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Fold each batch normalisation into the preceding convolution and return a plain VGG16.

    At inference, gamma * (k*x - mean) / sqrt(variance + epsilon) + beta is a convolution too, with kernel
    k * gamma / sqrt(variance + epsilon) and bias beta - mean * gamma / sqrt(variance + epsilon)
    (Jacob et al. 2017, arXiv:1712.05877, section 3.2). `network` is from `build_batch_normalised`, and not modified.

    Returns
    -------
    base : VGG16 without its classifier, from preprocessed images to `block5_pool`. In inference mode it equals
        `network` up to rounding. Its weights can be saved in Keras's notop format.
    kernel : of the source classifier, float32 (features of flattened block5_pool, class_count)
    bias : of the source classifier, float32 (class_count,)
    """
    base = vgg16.convolutional_base(None, network.input_shape[1])
    for _, name in _convolutions():
        norm = network.get_layer(f"{name}_norm")
        gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in norm.get_weights())
        scale = gamma / np.sqrt(variance + norm.epsilon)
        (kernel,) = network.get_layer(name).get_weights()
        base.get_layer(name).set_weights([kernel * scale, beta - mean * scale])
    kernel, bias = network.get_layer(CLASSIFIER).get_weights()
    return base, kernel, bias
