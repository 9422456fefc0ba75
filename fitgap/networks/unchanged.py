"""Way 1 of the notes: the network as it was trained, with its own classifier.

It can only answer with the classes it was trained on. What it answers on target images is judged twice: over
all its answers, and with the answers restricted to the classes that source and target share.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from fitgap.backbone import vgg16
from fitgap.networks import remedied


def source_network(weights: Path, kernel: np.ndarray, bias: np.ndarray, image_size: int) -> keras.Model:
    """Build the source network with its own classifier (include_top=True in Keras's words).

    Returns
    -------
    Model from uint8 (n, image_size, image_size, 3), RGB, to float32 probabilities of the source classes.
    """
    features = keras.Input(kernel.shape[:1], name="features")
    top = keras.layers.Dense(kernel.shape[1], name="logits")
    network = keras.Model(features, top(features), name="asis")
    top.set_weights([kernel, bias])
    frozen = vgg16.frozen_layers(weights, image_size, "block5_pool")
    return remedied.whole(network, image_size, [*frozen, keras.layers.Flatten(name="flatten")])


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
