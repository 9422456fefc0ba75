"""Pre-train VGG16 on the source task: one pass over its images, minutes on a laptop CPU."""

from collections.abc import Callable

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fitgap.definitions.determinism import derive_seed
from fitgap.networks import vgg16
from fitgap.networks.batch_normalised import build_batch_normalised
from fitgap.networks.kernels import fast_kernels
from fitgap.params.sections import Glyphs
from fitgap.system.progress import Progress

# Keras dtype policy for each value of `compute.precision`. Trained weights stay float32.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


WARMUP = 0.1  # share of the updates (Goyal et al. 2017, arXiv:1706.02677)


def _optimizer(learning_rate: float, updates: int) -> keras.optimizers.Optimizer:
    """Return Adam (Kingma and Ba 2014, arXiv:1412.6980) with linear warm-up and cosine decay to zero."""
    warmup = round(WARMUP * updates)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else learning_rate,
        decay_steps=updates - warmup,
        warmup_target=learning_rate if warmup else None,
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
    images: np.ndarray,
    labels: np.ndarray,
    class_count: int,
    glyphs: Glyphs,
    seed: int,
    policy: str = "float32",
    fast: bool = True,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train VGG16 with batch normalisation on the source task, in one pass over its images.

    The same seed yields bit-identical weights on the same machine if TensorFlow's deterministic operations are
    enabled (`tf.config.experimental.enable_op_determinism`).

    Parameters
    ----------
    images : uint8, (n, size, size, 3), RGB, size at least 32, n at least the batch size; an incomplete last batch is
        dropped
    labels : int64, (n,), 0 to class_count - 1
    glyphs : section of params.yaml; its learning rate is the peak of Adam's
    seed : of the initial weights and of the order of the images
    policy : of POLICIES; "mixed_bfloat16" is faster with AVX512-BF16 or AMX
    fast : whether to use hand-written kernels; results are equal up to rounding

    Returns
    -------
    network : the trained network of `build_batch_normalised`; `fold_batch_norm` converts it to a plain VGG16
    history : one row per update: `images_seen`, and `loss` (mean cross-entropy, nats) and `accuracy` of the update's
        batch, in training mode and before the update; the network has not seen these images before
    """
    updates = len(images) // glyphs.batch_size
    network = build_batch_normalised(images.shape[1], class_count, seed, policy)
    update = _update(network, _optimizer(glyphs.learning_rate, updates), fast)
    order = np.random.default_rng(derive_seed(seed, "order")).permutation(len(images))
    batches = order[: updates * glyphs.batch_size].reshape(updates, glyphs.batch_size)
    measured, bar = [], Progress(batches, "backbone: pre-training", updates, unit="updates")
    for batch in bar:
        measured.append([float(value) for value in update(tf.constant(images[batch]), tf.constant(labels[batch]))])
        bar.set_postfix_str(f"loss {measured[-1][0]:.3f}", refresh=False)
    history = pd.DataFrame(np.array(measured, dtype=np.float64), columns=["loss", "accuracy"])
    history.insert(0, "images_seen", glyphs.batch_size * np.arange(1, updates + 1))
    return network, history


def folded_answers(base: keras.Model, kernel: np.ndarray, bias: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the most likely class of each image, int64 (n,), by the folded network of `fold_batch_norm`.

    `images` are uint8, (n, size, size, 3), RGB.
    """
    inputs = keras.Input(images.shape[1:], name="image")
    features = keras.Model(inputs, base(vgg16.apply_layers(vgg16.preprocessing_layers(), inputs)), name="folded")
    bottleneck = features.predict(images, batch_size=256, verbose=0).reshape(len(images), -1)
    return (bottleneck @ kernel + bias).argmax(axis=1)
