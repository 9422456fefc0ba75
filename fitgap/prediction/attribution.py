"""Attribute a trained model's answers to the pixels of the images: which pixels speak for one class against another.

The method is expected gradients: Erion, Janizek, Sturmfels, Lundberg, Lee, Improving performance of deep learning
models with axiomatic attribution priors and expected gradients, Nature Machine Intelligence 3 (2021), arXiv:1906.10670.
It is the mean of integrated gradients (Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, ICML 2017,
arXiv:1703.01365) over images to compare with. With a black image in their place, black pixels could never count.
Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) cannot be used here: it colours the cells of the last feature
map, and for images of 32x32 VGG16's last map has a single one.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap.claims.study import Study
from fitgap.prediction.trained_models import TrainedModels, build_network
from fitgap.report.mistakes import NO_SHEET, Question, Sheet, choose_questions, draw_sheet
from fitgap.system.errors import UserError

if TYPE_CHECKING:
    import keras

MOST, FEWEST = 32, 8  # comparisons per image; large images get fewer, because each costs more
PIXELS = MOST * 64**2  # of all comparisons of one image
AT_ONCE = 2**15  # pixels per step, which limits the memory: 32 images of 32x32, or one of 224x224


def explain_best(study: Study) -> Sheet:
    """Show which pixels move some answers of the best model; without its weights, the sheet says why it is empty."""
    if study.best is None or not study.has_answers(study.best):
        return NO_SHEET
    questions = choose_questions(study, study.best)
    try:
        return draw_sheet(study, questions, attribute_answers(study.best, questions))
    except UserError as error:
        return Sheet(reason=str(error))


def attribute_answers(name: str, questions: Sequence[Question], root: Path | str = ".") -> np.ndarray:
    """Attribute answers of the model `name`, with the weights of its best seed, to the pixels of test images.

    The images to compare with are drawn from the pool, always the same ones. Returns the same as `attribute`.

    Raises a UserError if the model cannot answer, for example because its weights are absent.
    """
    models = TrainedModels(Path(root))
    result = models.find(name)
    if "tensorflow" not in sys.modules:  # otherwise it has been started before, for another model
        from fitgap.definitions.determinism import start_tensorflow

        start_tensorflow(seed=0)
    images, pool = (models.prepared.part(part)[0] for part in ("test", "pool"))
    asked = images[[question.position for question in questions]]
    classes = np.array([(question.answer, question.rival) for question in questions])
    return attribute(build_network(models, result), asked, classes, pool)


def attribute(network: "keras.Model", images: np.ndarray, classes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Attribute the log-odds of one class against another to the pixels of images, by expected gradients.

    Parameters
    ----------
    network : a sequence of layers from uint8 images to class probabilities; the last layer is the softmax
    images : uint8, (n, height, width, 3)
    classes : int, (n, 2): for each image, the class to explain and the class to tell it from
    others : uint8, (m, height, width, 3): images to compare with

    Returns
    -------
    float32, (n, height, width), in nats: above 0 where a pixel speaks for the first class. The sum over an image
    approximates its log-odds minus the mean log-odds of the images compared with.
    """
    steps = int(np.clip(PIXELS // images[0, ..., 0].size, FEWEST, MOST))
    random = np.random.default_rng(0)
    gradients = _log_odds_gradients(network)
    attributions = []
    for image, pair in zip(images.astype(np.float32), classes, strict=True):
        start = others[np.sort(random.choice(len(others), steps, replace=len(others) < steps))].astype(np.float32)
        way = (random.permutation(steps) + random.uniform(size=steps)) / steps  # one place in each part of [0, 1]
        change = image - start
        between = start + way[:, None, None, None].astype(np.float32) * change
        attributions.append((_in_steps(gradients, between, pair) * change).mean(axis=0).sum(axis=-1))
    return np.stack(attributions)


def _log_odds_gradients(network: "keras.Model"):
    """Return a function (images, pair of classes) -> gradients of the log-odds with respect to the pixels."""
    import tensorflow as tf

    def gradients(images, pair):
        with tf.GradientTape() as tape:
            tape.watch(images)
            x = images
            for layer in network.layers[1:-1]:  # the input converts to whole numbers, which have no gradient
                x = layer(x, training=False)
            odds = tf.reduce_sum(tf.gather(x, pair[0], axis=1) - tf.gather(x, pair[1], axis=1))
        return tape.gradient(odds, images)

    shape = (None, *network.input_shape[1:])
    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((2,), tf.int64)]
    return tf.function(gradients, input_signature=signature, autograph=False)


def _in_steps(gradients, images: np.ndarray, pair: np.ndarray) -> np.ndarray:
    size = max(1, AT_ONCE // images[0, ..., 0].size)
    parts = (images[start : start + size] for start in range(0, len(images), size))
    return np.concatenate([gradients(part, pair.astype(np.int64)).numpy() for part in parts])
