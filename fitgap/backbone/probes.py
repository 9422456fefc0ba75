"""Linear probes: how well a linear classifier on each block's output separates the target classes.

G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier probes, 2016, arXiv:1610.01644.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fitgap.definitions.vgg16_layers import BLOCKS, POOLS
from fitgap.networks import vgg16

CELLS = 4  # outputs are average-pooled to at most 4x4 cells; otherwise the first block would have 16 times the columns
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # values of scikit-learn's C; selected by validation loss
ITERATIONS = 300
MEANS = ("test_accuracy", "val_accuracy")


@dataclass(frozen=True)
class Probe:
    """A logistic regression on one block's output."""

    strength: float  # scikit-learn's C, the inverse of the penalty's weight
    measured: dict[str, float]  # train_loss, val_loss (nats), train_accuracy, val_accuracy, test_accuracy
    probabilities: np.ndarray  # float32, (test images, classes)


def build_pooled_blocks(weights: Path, image_size: int) -> keras.Model:
    """Build the frozen base with the outputs of all blocks concatenated into one row per image.

    Returns
    -------
    Model from uint8 RGB images (n, size, size, 3) to float32 (n, columns). Each block's output is average-pooled to
    at most 4x4 cells and flattened. `layer_columns` returns the columns of each block.
    """
    base = vgg16.frozen_base(weights, image_size, POOLS)
    rows = [_flat(name, base.output[name]) for name in POOLS]
    return keras.Model(base.input, keras.layers.Concatenate(name="blocks")(rows), name="pooled_blocks")


def _flat(name: str, output):
    step = -(-output.shape[1] // CELLS)
    pooled = keras.layers.AveragePooling2D(step, padding="same", name=f"{name}_cells")(output)
    return keras.layers.Flatten(name=f"{name}_flat")(pooled)


def layer_columns(network: keras.Model) -> dict[str, slice]:
    """Return the columns of each layer in the output of `build_pooled_blocks`."""
    widths = [network.get_layer(f"{name}_flat").output.shape[1] for name in POOLS]
    ends = np.cumsum(widths).tolist()
    return {name: slice(end - width, end) for name, end, width in zip(POOLS, ends, widths, strict=True)}


def fit_probes(
    network: keras.Model, outputs: np.ndarray, labels: np.ndarray, draws: Mapping[int, Mapping[str, np.ndarray]]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Fit a probe for each block and repetition.

    Parameters
    ----------
    network : from `build_pooled_blocks`
    outputs, labels : the network's outputs for all images, float32 (n, columns), and their labels, int64 (n,)
    draws : seed -> the rows of each split

    Returns
    -------
    history : one row per block (from 1) and seed
    probabilities : float32, (blocks, seeds, test images, classes)
    """
    table, probabilities = [], []
    for block, columns in enumerate(layer_columns(network).values(), start=1):
        probes = {seed: fit_probe(outputs[:, columns], labels, rows) for seed, rows in draws.items()}
        probabilities.append(np.stack([probe.probabilities for probe in probes.values()]))
        width = columns.stop - columns.start
        table += [
            {"block": block, "seed": seed, "columns": width, "C": probe.strength, **probe.measured}
            for seed, probe in probes.items()
        ]
    return pd.DataFrame(table), np.stack(probabilities)


def means_by_block(history: pd.DataFrame) -> dict[str, float]:
    """Return the mean test and validation accuracy of each block over the seeds, as "test_accuracy_block1"."""
    means = history.groupby("block")[list(MEANS)].mean().set_axis(BLOCKS)
    return {f"{name}_{block}": float(means.loc[block, name]) for name in MEANS for block in BLOCKS}


def fit_probe(outputs: np.ndarray, labels: np.ndarray, rows: Mapping[str, np.ndarray]) -> Probe:
    """Fit a probe on the training images, select its penalty by validation loss, and test it once.

    The problem is convex and the solver deterministic: a seed changes the images only.

    Parameters
    ----------
    outputs, labels : of all images, float32 (n, columns), int64 (n,)
    rows : the rows of each split ("train", "validation", "test")
    """
    features, labels = ({name: values[part] for name, part in rows.items()} for values in (outputs, labels))
    with threadpool_limits(1):  # L-BFGS's matrix multiplications are too small to gain from more threads
        reduction = _reduction(features["train"])
        features = {name: reduction.transform(values) for name, values in features.items()}
        fitted = {strength: _regression(strength, features["train"], labels["train"]) for strength in STRENGTHS}
    losses = {s: _loss_and_accuracy(fit, features["validation"], labels["validation"])[0] for s, fit in fitted.items()}
    strength = min(losses, key=losses.get)
    chosen = fitted[strength]
    train, validation = (_loss_and_accuracy(chosen, features[name], labels[name]) for name in ("train", "validation"))
    probabilities = chosen.predict_proba(features["test"]).astype(np.float32)
    measured = {
        "train_loss": train[0],
        "train_accuracy": train[1],
        "val_loss": validation[0],
        "val_accuracy": validation[1],
        "test_accuracy": float((probabilities.argmax(axis=1) == labels["test"]).mean()),
    }
    return Probe(strength, measured, probabilities)


def _reduction(features: np.ndarray) -> Pipeline:
    """Fit a standardisation, and a rotation into the span of the images if there are fewer images than columns.

    The regression's weights lie in that span, so the rotation changes no answer, and makes the regression much faster
    (Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2009, section 18.3.5).
    """
    rotation = PCA(svd_solver="full") if len(features) < features.shape[1] else "passthrough"
    return make_pipeline(StandardScaler(), rotation).fit(features)


def _regression(strength: float, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    with warnings.catch_warnings():
        # Early stopping acts as an additional weak penalty; the validation loss selects among all of them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=ITERATIONS).fit(features, labels)


def _loss_and_accuracy(regression: LogisticRegression, features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    probabilities = regression.predict_proba(features)
    loss = log_loss(labels, probabilities, labels=regression.classes_)
    return float(loss), float((probabilities.argmax(axis=1) == labels).mean())
