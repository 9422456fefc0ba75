"""Linear probes: how well a linear classifier on each block's output separates the target classes.

G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier probes, 2016, arXiv:1610.01644.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fitgap.definitions.vgg16_layers import POOLS

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # values of scikit-learn's C; selected by validation loss
ITERATIONS = 300
MEANS = ("test_accuracy", "val_accuracy")


@dataclass(frozen=True)
class Probe:
    """A logistic regression on one block's output."""

    strength: float  # scikit-learn's C, the inverse of the penalty's weight
    measured: dict[str, float]  # train_loss, val_loss (nats), train_accuracy, val_accuracy, test_accuracy
    probabilities: np.ndarray  # float32, (test images, classes)


def fit_probes(
    features: Mapping[str, np.ndarray], labels: np.ndarray, draws: Mapping[int, Mapping[str, np.ndarray]]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Fit a probe for each layer and repetition.

    Parameters
    ----------
    features : layer -> its features of all images, float32 (n, ...)
    labels : of all images, int64 (n,)
    draws : seed -> the rows of each split

    Returns
    -------
    history : one row per block (from 1) and seed
    probabilities : float32, (layers, seeds, test images, classes)
    """
    table, probabilities = [], []
    for layer, outputs in features.items():
        columns = outputs.reshape(len(outputs), -1)
        probes = {seed: fit_probe(columns, labels, rows) for seed, rows in draws.items()}
        probabilities.append(np.stack([probe.probabilities for probe in probes.values()]))
        own = {"block": POOLS.index(layer) + 1, "columns": columns.shape[1]}
        table += [{**own, "seed": seed, "C": probe.strength, **probe.measured} for seed, probe in probes.items()]
    return pd.DataFrame(table), np.stack(probabilities)


def means_by_block(history: pd.DataFrame) -> dict[str, float]:
    """Return the mean test and validation accuracy of each block over the seeds, as "test_accuracy_block1"."""
    means = history.groupby("block")[list(MEANS)].mean()
    return {f"{name}_block{block}": float(means.loc[block, name]) for name in MEANS for block in means.index}


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
