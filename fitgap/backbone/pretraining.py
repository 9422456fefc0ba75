"""Pre-train VGG16 on the source task: one pass over its images, minutes on a laptop CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fitgap.definitions.determinism import derive_seed
from fitgap.networks import vgg16
from fitgap.networks.batch_normalised import build_batch_normalised
from fitgap.networks.kernels import fast_kernels
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.progress import Progress

# Keras dtype policy for each value of `compute.precision`. Trained weights stay float32.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
SAVE_EVERY = 30.0  # seconds between checkpoints; writing one (177 MB) takes less than a second


@dataclass(frozen=True)
class PretrainingSettings:
    """Hyperparameters of pre-training, which makes one pass over the source images.

    Attributes
    ----------
    batch_size : int
        Images per update, at least 2: batch normalisation needs a variance.
    learning_rate : float
        Peak learning rate of Adam (linear warm-up, then cosine decay to zero).
    warmup : float
        Fraction of the updates spent on warm-up, 0 to <1 (Goyal et al. 2017, arXiv:1706.02677).
    batch_norm_momentum : float
        Momentum of the moving statistics, 0 to <1. Keras's default of 0.99 lags behind over a few hundred updates.
    precision : str
        Keras dtype policy: "float32", or "mixed_bfloat16", which is faster on processors with AVX512-BF16 or AMX.
    kernels : bool
        Whether to use hand-written kernels (`fitgap.networks.kernels`); results are equal up to rounding.
    """

    batch_size: int = 32
    learning_rate: float = 1.4e-3
    warmup: float = 0.1
    batch_norm_momentum: float = 0.9
    precision: str = "float32"
    kernels: bool = True


def _optimizer(settings: PretrainingSettings, updates: int) -> keras.optimizers.Optimizer:
    """Return Adam (Kingma and Ba 2014, arXiv:1412.6980) with linear warm-up and cosine decay to zero."""
    warmup = round(settings.warmup * updates)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else settings.learning_rate,
        decay_steps=updates - warmup,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    return keras.optimizers.Adam(schedule)


def _update(network: keras.Model, optimizer: keras.optimizers.Optimizer, kernels: bool) -> Callable:
    """Compile one update: takes a batch, returns its cross-entropy and accuracy, both before the update."""
    optimizer.build(network.trainable_variables)

    # On a CPU, XLA's convolutions are about ten times slower than oneDNN's.
    @tf.function(jit_compile=False, autograph=False)
    def update(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            with fast_kernels(network, is_on=kernels):
                logits = network(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32))

    return update


def pretrain(
    images: np.ndarray, labels: np.ndarray, class_count: int, settings: PretrainingSettings, seed: int, kept: Checkpoint
) -> tuple[keras.Model, pd.DataFrame]:
    """Train VGG16 with batch normalisation on the source task, in one pass over its images.

    The same seed yields bit-identical weights on the same machine if TensorFlow's deterministic operations are
    enabled (`tf.config.experimental.enable_op_determinism`). A progress bar is written to standard error if that
    is a terminal.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, size, size, 3)
        RGB, 0-255; size at least 32. An incomplete last batch is dropped.
    labels : ndarray of int64, shape (n,)
        Class indices, 0 to class_count - 1.
    class_count : int
        Number of source classes.
    settings : PretrainingSettings
        Batch size, learning rate, and so on.
    seed : int
        Seed of the initial weights and of the order of the images.
    kept : Checkpoint
        Stores the state about every 30 s. A killed run resumes from it and ends with the same bytes.

    Returns
    -------
    network : keras.Model
        The trained network of `build_batch_normalised`; `fold_batch_norm` converts it to a plain VGG16.
    history : DataFrame
        One row per update: `images_seen`, and `loss` (mean cross-entropy, nats) and `accuracy` of the update's
        batch, in training mode and before the update. The network has not seen these images before.

    Raises
    ------
    ValueError
        If there are fewer images than `batch_size`.
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
    bar = Progress(batches[len(measured) :], "backbone: pre-training", updates, initial=len(measured), unit="updates")
    for batch in bar:
        measured.append([float(value) for value in update(tf.constant(images[batch]), tf.constant(labels[batch]))])
        bar.set_postfix_str(f"loss {measured[-1][0]:.3f}", refresh=False)
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
    """Restore the checkpoint, if there is one; return the losses and accuracies measured so far."""
    arrays = kept.load("pretraining")
    if arrays is None:
        return []
    for position, variable in enumerate(state):
        variable.assign(arrays[f"variable-{position:04d}"])
    return arrays["measured"].tolist()


def folded_answers(base: keras.Model, kernel: np.ndarray, bias: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Predict the class of each image with the folded network.

    Parameters
    ----------
    base, kernel, bias
        As returned by `fold_batch_norm`.
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
