"""Misclassifications of a model: per class, as a confusion matrix, and as example images."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import confusion_matrix

from fitgap.claims.study import Study

EXAMPLES = 12
LARGEST_SIDE = 96  # of an example in pixels; keeps the page small


@dataclass(frozen=True)
class Example:
    """A misclassified test image: true class, prediction and its probability; `image` is a PNG as a data: URL."""

    image: str
    truth: str
    answer: str
    probability: float


@dataclass(frozen=True)
class Mistakes:
    """Misclassifications of a model on the test images.

    Attributes
    ----------
    model : str
    by_class : DataFrame
        One row per class: `class`, `images`, `accuracy`, `confused_with`, `times` (over all seeds).
    confusion : DataFrame
        Confusion matrix over all seeds, normalised by row: rows are true classes, columns predictions.
    examples : list of Example
        Misclassified images of the model's best seed, most confident first.
    """

    model: str
    by_class: pd.DataFrame
    confusion: pd.DataFrame
    examples: list[Example]

    @property
    def most_confused(self) -> float:
        """Largest off-diagonal entry of `confusion`; 1.0 if all are 0."""
        shares = self.confusion.to_numpy()
        return float((shares - np.diag(np.diag(shares))).max()) or 1.0


def collect_mistakes(study: Study, name: str) -> Mistakes:
    """Collect the misclassifications of model `name`."""
    probabilities, names = study.results[name].test_probabilities, study.prepared.class_names
    images, labels = study.prepared.part("test")
    answers = probabilities.argmax(axis=-1)
    counts = confusion_matrix(np.tile(labels, len(answers)), answers.ravel(), labels=range(len(names)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return Mistakes(
        model=name,
        by_class=_by_class(counts, names, len(answers)),
        confusion=pd.DataFrame(shares, index=names, columns=names),
        examples=_examples(best_answers(study, name), images, labels, names),
    )


def best_answers(study: Study, name: str) -> np.ndarray:
    """Return the probabilities that a model's best seed gives on the test images: float32, (images, classes)."""
    record = study.results[name].record
    seeds = [entry["seed"] for entry in record.seeds]
    best = seeds.index(seeds[0] if record.best_seed is None else record.best_seed)
    return study.results[name].test_probabilities[best]


def _by_class(counts: np.ndarray, names: list[str], seeds: int) -> pd.DataFrame:
    wrong = counts - np.diag(np.diag(counts))
    total = counts.sum(axis=1)
    return pd.DataFrame(
        {
            "class": names,
            "images": total // seeds,
            "accuracy": np.diag(counts) / np.maximum(total, 1),
            "confused_with": [names[row.argmax()] if row.any() else "" for row in wrong],
            "times": wrong.max(axis=1),
        }
    )


def _examples(probabilities: np.ndarray, images: np.ndarray, labels: np.ndarray, names: list[str]) -> list[Example]:
    answers, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != labels)
    surest = wrong[np.argsort(-sureness[wrong], kind="stable")][:EXAMPLES]
    return [
        Example(draw_png(images[row]), names[labels[row]], names[answers[row]], float(sureness[row])) for row in surest
    ]


def draw_png(pixels: np.ndarray, largest_side: int = LARGEST_SIDE) -> str:
    """Return an image, uint8 (height, width, 3), as a PNG in a data: URL; a larger one is scaled down."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((largest_side, largest_side))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
