"""What the best model gets wrong: per class, as a confusion matrix, and as example images."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import confusion_matrix

from fitgap.report.study import Study

EXAMPLES = 12
LARGEST_SIDE = 96  # pixels of an example; the page must stay small


@dataclass(frozen=True)
class Example:
    """A test image with the right and the given answer; `image` is a PNG as a data: address."""

    image: str
    truth: str
    answer: str
    probability: float


@dataclass(frozen=True)
class Mistakes:
    """What a model gets wrong on the test images.

    Attributes
    ----------
    model : str
    by_class : DataFrame
        One row per class: `class`, `images`, `accuracy`, `confused_with`, `times` (over all seeds).
    confusion : DataFrame
        Rows are true classes, columns answers; shares of the row, over all seeds.
    examples : list of Example
        Of the model's best seed, the surest mistakes first.
    """

    model: str
    by_class: pd.DataFrame
    confusion: pd.DataFrame
    examples: list[Example]

    @property
    def most_confused(self) -> float:
        """The largest share of a class that is taken for one other class."""
        shares = self.confusion.to_numpy()
        return float((shares - np.diag(np.diag(shares))).max()) or 1.0


def collect_mistakes(study: Study, name: str) -> Mistakes:
    """Gather what a model gets wrong."""
    probabilities, names = study.results[name].test_probabilities, study.prepared.class_names
    images, labels = study.prepared.split("test")
    answers = probabilities.argmax(axis=-1)
    counts = confusion_matrix(np.tile(labels, len(answers)), answers.ravel(), labels=range(len(names)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    record = study.results[name].record
    seeds = [entry["seed"] for entry in record.seeds]
    best = seeds.index(seeds[0] if record.best_seed is None else record.best_seed)
    return Mistakes(
        model=name,
        by_class=_by_class(counts, names, len(answers)),
        confusion=pd.DataFrame(shares, index=names, columns=names),
        examples=_examples(probabilities[best], images, labels, names),
    )


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
    return [Example(_png(images[row]), names[labels[row]], names[answers[row]], float(sureness[row])) for row in surest]


def _png(pixels: np.ndarray) -> str:
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
