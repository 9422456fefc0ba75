"""VGG16 learns the source task: one pass over its images, in minutes on a laptop's processor."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from fitgap.backbone import vgg16
from fitgap.backbone.batch_normalised import build_batch_normalised
from fitgap.kernels import fast_kernels
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.determinism import derive_seed

# Keras's dtype policy for each value of `compute.precision`: weights that are updated stay float32.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
SAVE_EVERY = 30.0  # seconds between two states kept; writing one (177 MB) takes less than one


@dataclass(frozen=True)
class PretrainingSettings:
    """How the source task is learned, in one pass over its images.

    Attributes
    ----------
    batch_size : int
        Images per update, at least 2: batch normalisation needs a spread.
    learning_rate : float
        Of Adam, at its peak, where the warm-up ends and the cosine decay to zero begins.
    warmup : float
        Share of the updates in which the rate rises from zero, 0 to <1 (Goyal et al. 2017, arXiv:1706.02677).
    batch_norm_momentum : float
        Of the moving statistics, 0 to <1. Keras's 0.99 lags behind where there are a few hundred updates.
    precision : str
        Keras's dtype policy: "float32", or "mixed_bfloat16", faster where the processor has AVX512-BF16 or AMX.
    kernels : bool
        Whether hand-written kernels are used (`fitgap.kernels`); results are equal to rounding.
    """

    batch_size: int = 32
    learning_rate: float = 1.4e-3
    warmup: float = 0.1
    batch_norm_momentum: float = 0.9
    precision: str = "float32"
    kernels: bool = True


def _optimizer(settings: PretrainingSettings, updates: int) -> keras.optimizers.Optimizer:
    """Give Adam (Kingma and Ba 2014, arXiv:1412.6980) with linear warm-up, then cosine decay to zero."""
    warmup = round(settings.warmup * updates)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else settings.learning_rate,
        decay_steps=updates - warmup,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    return keras.optimizers.Adam(schedule)


def _update(network: keras.Model, optimizer: keras.optimizers.Optimizer, kernels: bool) -> Callable:
    """Compile one update: a batch in, its cross-entropy and accuracy out, both from before the weights move."""
    optimizer.build(network.trainable_variables)

    # XLA's convolutions are some ten times slower on a CPU than oneDNN's.
    @tf.function(jit_compile=False, autograph=False)
    def update(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            with fast_kernels(network, is_on=kernels, training=True):
                logits = network(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32))

    return update


def pretrain(
    images: np.ndarray, labels: np.ndarray, class_count: int, settings: PretrainingSettings, seed: int, kept: Checkpoint
) -> tuple[keras.Model, pd.DataFrame]:
    """Train VGG16 with batch normalisation on the source task, in one pass over its images.

    The same seed gives bit-identical weights on the same machine, if TensorFlow's operations were made
    deterministic before (`tf.config.experimental.enable_op_determinism`). Progress goes to standard error
    when that is a terminal.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, size, size, 3)
        RGB, 0-255; size at least 32. Fewer images than make a batch at the end of the pass are left out.
    labels : ndarray of int64, shape (n,)
        From 0 to class_count - 1.
    class_count : int
        Number of source classes.
    settings : PretrainingSettings
        Batch size, learning rate, and so on.
    seed : int
        Seed of the initial weights and of the order of the images.
    kept : Kept
        Where the state is kept about every 30 s, and taken up again after a kill: the bytes come out the same.

    Returns
    -------
    network : keras.Model
        As `batch_normalised.build` gives it, trained; `fold` makes a plain VGG16 of it.
    history : DataFrame
        One row per update: `images_seen`, and `loss` (mean cross-entropy, nats) and `accuracy` of the update's
        own batch, in training mode and before the update: images not seen until then.

    Raises
    ------
    ValueError
        If there are fewer images than one batch.
    """
    updates = len(images) // settings.batch_size
    if updates < 1:
        raise ValueError(f"batch_size must be <= the number of images ({len(images)}), got {settings.batch_size}")
    network = build_batch_normalised(
        images.shape[1], class_count, seed, settings.batch_norm_momentum, settings.precision
    )
    optimizer = _optimizer(settings, updates)
    update = _update(network, optimizer, settings.kernels)
    state = [*network.variables, *optimizer.variables]
    order = np.random.default_rng(derive_seed(seed, "order")).permutation(len(images))
    batches = order[: updates * settings.batch_size].reshape(updates, settings.batch_size)
    measured, saved = _resume(kept, state), time.monotonic()
    bar = tqdm(
        batches[len(measured) :], "VGG16 learns printed characters", updates, None, initial=len(measured), unit="update"
    )
    for batch in bar:
        measured.append([float(value) for value in update(tf.constant(images[batch]), tf.constant(labels[batch]))])
        if time.monotonic() - saved > SAVE_EVERY:
            _keep(kept, state, measured)
            saved = time.monotonic()
    history = pd.DataFrame(np.array(measured, dtype=np.float64), columns=["loss", "accuracy"])
    history.insert(0, "images_seen", settings.batch_size * np.arange(1, updates + 1))
    return network, history


def _keep(kept: Checkpoint, state: list[keras.Variable], measured: list[list[float]]) -> None:
    variables = {f"variable-{position:04d}": variable.numpy() for position, variable in enumerate(state)}
    kept.save("pretraining", {**variables, "measured": np.array(measured)})


def _resume(kept: Checkpoint, state: list[keras.Variable]) -> list[list[float]]:
    """Take up the state that was kept, if there is one; give what was measured up to there."""
    arrays = kept.load("pretraining")
    if arrays is None:
        return []
    for position, variable in enumerate(state):
        variable.assign(arrays[f"variable-{position:04d}"])
    return arrays["measured"].tolist()


def folded_answers(base: keras.Model, kernel: np.ndarray, bias: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Let the folded network name the class of each image.

    Parameters
    ----------
    base, kernel, bias
        As `fold` gives them.
    images : ndarray of uint8, shape (n, size, size, 3)
        RGB, 0-255.

    Returns
    -------
    ndarray of int64, shape (n,)
        The most likely class of each image.
    """
    inputs = keras.Input(images.shape[1:], name="image")
    features = keras.Model(inputs, base(vgg16.apply_layers(vgg16.preprocessing_layers(), inputs)), name="folded")
    bottleneck = features.predict(images, batch_size=256, verbose=0).reshape(len(images), -1)
    return (bottleneck @ kernel + bias).argmax(axis=1)
