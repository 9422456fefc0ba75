"""Way 1 of the notes: the network as it was trained, with its own classifier.

It can only answer with the classes it was trained on. What it answers on target images is judged twice: over
all its answers, and with the answers restricted to the classes that source and target share.
"""

from dataclasses import dataclass

import keras
import numpy as np

from fitgap import downloads
from fitgap.backbone import vgg16
from fitgap.backbone.stored import StoredBackbone
from fitgap.networks import remedied

IMAGENET_SIDES = (224, 224)  # what VGG16's own classifier takes (arXiv:1409.1556, section 2.1)
RESIZE = "resize"


def source_network(backbone: StoredBackbone, image_size: int) -> keras.Model:
    """Build the source network with its own classifier (include_top=True in Keras's words).

    Returns
    -------
    Model from uint8 (n, image_size, image_size, 3), RGB, to float32 probabilities of the source classes.

    Raises
    ------
    UserError
        If it is ImageNet's, which Keras keeps, and cannot be downloaded.
    """
    if backbone.about["weights"] == "imagenet":
        return downloads.through_keras(downloads.VGG16_WITH_TOP, lambda: _imagenet_network(image_size))
    kernel, bias = backbone.classifier()
    features = keras.Input(kernel.shape[:1], name="features")
    top = keras.layers.Dense(kernel.shape[1], name="logits")
    network = keras.Model(features, top(features), name="asis")
    top.set_weights([kernel, bias])
    frozen = vgg16.frozen_layers(backbone.weights, image_size, "block5_pool")
    return remedied.whole(network, image_size, [*frozen, keras.layers.Flatten(name="flatten")])


def _imagenet_network(image_size: int) -> keras.Model:
    """Build VGG16 as it was published, with its three dense layers; images are brought to 224x224, bilinearly."""
    x = images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    resize = keras.layers.Resizing(*IMAGENET_SIDES, antialias=True, name=RESIZE)
    for layer in [resize, *vgg16.preprocessing(), keras.applications.VGG16(include_top=True, weights="imagenet")]:
        x = layer(x)
    return keras.Model(images, x, name="asis")


def largest_shape(network: keras.Model) -> tuple[int, ...]:
    """Give the shape of the images that go through a source network, which may enlarge those that come in."""
    names = [layer.name for layer in network.layers]
    return network.get_layer(RESIZE).output.shape[1:] if RESIZE in names else network.input_shape[1:]


def count_parameters(network: keras.Model) -> int:
    """Count a source network's weights; the fixed swap of colours in front of it is none."""
    return network.count_params() - network.get_layer(vgg16.SWAP).count_params()


@dataclass(frozen=True)
class Judgement:
    """What the source classifier's answers are worth on the target.

    Attributes
    ----------
    known_classes : names that source and target share
    coverage : share of test images whose class the source knows
    accuracy_all_classes : right answers among all test images, any source class allowed as answer
    accuracy_known_classes : right answers among the covered images, only shared classes allowed; None without any
    """

    known_classes: list[str]
    coverage: float
    accuracy_all_classes: float
    accuracy_known_classes: float | None


def judge(probabilities: np.ndarray, source: list[str], labels: np.ndarray, target: list[str]) -> Judgement:
    """Judge the source classifier on the target.

    `source` names for each column of `probabilities` the target class that it counts as, or else its own. Where
    several count as the same, their probabilities are added when the answer is restricted to the target's classes.
    """
    truth = np.asarray(target)[labels]
    known = [name for name in dict.fromkeys(source) if name in set(target)]
    covered = np.isin(truth, known)
    free = np.asarray(source)[probabilities.argmax(axis=1)]
    if not known or not covered.any():
        return Judgement(known, float(covered.mean()), float((free == truth).mean()), None)
    together = np.stack([probabilities[:, np.asarray(source) == name].sum(axis=1) for name in known], axis=1)
    restricted = np.asarray(known)[together.argmax(axis=1)]
    right = float((restricted == truth)[covered].mean())
    return Judgement(known, float(covered.mean()), float((free == truth).mean()), right)
