"""What the best model gets wrong: per class, as a confusion matrix, and as example images."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import confusion_matrix

from fitgap.claims.study import Study

EXAMPLES, EXAMPLE_SIDE = 12, 96  # misclassified images; their largest side in pixels keeps the page small


@dataclass(frozen=True)
class Example:
    """A misclassified image, as a PNG file in a data: URL."""

    image: str
    answer: str  # the class that the model names
    truth: str  # the class of the image
    probability: float  # of the answer


@dataclass(frozen=True)
class Mistakes:
    """Misclassifications of a model on the test images."""

    model: str
    by_class: pd.DataFrame  # a row per class: `class`, `images`, `accuracy`, `confused_with`, `share` of its images
    confusion: pd.DataFrame  # over all seeds, normalised by row: rows are true classes, columns predictions
    examples: list[Example]  # misclassified images of the model's best seed, most confident first

    @property
    def most_confused(self) -> float:
        """Largest off-diagonal entry of `confusion`; 1.0 if all are 0."""
        shares = self.confusion.to_numpy()
        return float((shares - np.diag(np.diag(shares))).max()) or 1.0


def collect_mistakes(study: Study, name: str) -> Mistakes:
    """Collect the misclassifications of model `name`."""
    names, labels = study.prepared.class_names, study.prepared.part("test")[1]
    answers = study.results[name].test_probabilities.argmax(axis=-1)
    counts = confusion_matrix(np.tile(labels, len(answers)), answers.ravel(), labels=range(len(names)))
    wrong, total = counts - np.diag(np.diag(counts)), counts.sum(axis=1)
    by_class = {
        "class": names,
        "images": total // len(answers),
        "accuracy": np.diag(counts) / np.maximum(total, 1),
        "confused_with": [names[row.argmax()] if row.any() else "" for row in wrong],
        "share": wrong.max(axis=1) / np.maximum(total, 1),
    }
    confusion = pd.DataFrame(counts / np.maximum(total, 1)[:, None], index=names, columns=names)
    return Mistakes(name, pd.DataFrame(by_class), confusion, _examples(study, name))


def _examples(study: Study, name: str) -> list[Example]:
    """Return the misclassified images of a model's best seed, most confident first."""
    (images, labels), names, result = study.prepared.part("test"), study.prepared.class_names, study.results[name]
    probabilities = result.test_probabilities[result.seeds.index.get_loc(result.record.best_seed)]
    answers, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
    surest = np.argsort(-sureness, kind="stable")
    return [
        Example(draw_png(images[i], EXAMPLE_SIDE), names[answers[i]], names[labels[i]], float(sureness[i]))
        for i in surest[(answers != labels)[surest]][:EXAMPLES]
    ]


def draw_png(pixels: np.ndarray, largest_side: int) -> str:
    """Return an image, uint8 (height, width, 3), as a PNG in a data: URL; a larger one is scaled down."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((largest_side, largest_side))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
