"""What the best model gets wrong, and what it looks at.

Its misclassifications: per class, as a confusion matrix, and as example images. The answers to explain, and the sheet
of images that shows which pixels move them; `fitgap.prediction.attribution` computes that from the trained network.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import confusion_matrix

from fitgap.claims.study import Study

EXAMPLES, EXAMPLE_SIDE = 12, 96  # misclassified images; their largest side in pixels keeps the page small
EACH, MAP_SIDE = 8, 64  # explained answers of each kind, right and wrong; the largest side of their images
FOR, AGAINST = (0, 114, 178), (213, 94, 0)  # RGB; blue and vermilion of Okabe and Ito 2008
BRIGHTEST = 0.99  # quantile of an image's attributions that gets the full colour


@dataclass(frozen=True)
class Question:
    """An answer to show or to explain."""

    position: int  # of the image in the test split
    answer: int  # the class that the model names
    rival: int  # the class to tell it from: the true one if the answer is wrong, the second choice if it is right
    probability: float  # of the answer
    is_right: bool


@dataclass(frozen=True)
class Explanation:
    """A question in words, with the image, and the map of its pixels if there is one, as PNG files in data: URLs."""

    image: str
    answer: str
    rival: str
    probability: float
    is_right: bool
    map: str = ""


@dataclass(frozen=True)
class Sheet:
    """The explanations of a model's answers; without any, `reason` says why."""

    explanations: tuple[Explanation, ...] = ()
    reason: str = ""

    @property
    def kinds(self) -> dict[str, list[Explanation]]:
        """Title -> explanations; kinds without any are left out."""
        kinds = {"Sure and wrong": False, "Sure and right": True}
        shown = {title: [own for own in self.explanations if own.is_right is kind] for title, kind in kinds.items()}
        return {title: explanations for title, explanations in shown.items() if explanations}


NO_SHEET = Sheet(reason="there is no trained model to ask")


@dataclass(frozen=True)
class Mistakes:
    """Misclassifications of a model on the test images."""

    model: str
    by_class: pd.DataFrame  # a row per class: `class`, `images`, `accuracy`, `confused_with`, `times` (over all seeds)
    confusion: pd.DataFrame  # over all seeds, normalised by row: rows are true classes, columns predictions
    examples: list[Explanation]  # misclassified images of the model's best seed, most confident first

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
        "times": wrong.max(axis=1),
    }
    confusion = pd.DataFrame(counts / np.maximum(total, 1)[:, None], index=names, columns=names)
    surest, right = _rank(study, name)
    examples = [_explain(study, _ask(study, name, position), EXAMPLE_SIDE) for position in surest[~right][:EXAMPLES]]
    return Mistakes(name, pd.DataFrame(by_class), confusion, examples)


def choose_questions(study: Study, name: str) -> list[Question]:
    """Choose the surest wrong answers of a model's best seed, and its surest right answer for each of some classes."""
    (surest, right), labels = _rank(study, name), study.prepared.part("test")[1]
    first = {}
    for position in surest[right]:
        first.setdefault(int(labels[position]), position)
    spread = np.unique(np.linspace(0, max(len(first) - 1, 0), EACH).round().astype(int))
    chosen = [*surest[~right][:EACH], *(first[sorted(first)[place]] for place in spread if first)]
    return [_ask(study, name, position) for position in chosen]


def _rank(study: Study, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the test images, surest answers first, and whether each answer is right."""
    probabilities = _best_answers(study, name)
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")
    return surest, (probabilities.argmax(axis=1) == study.prepared.part("test")[1])[surest]


def _best_answers(study: Study, name: str) -> np.ndarray:
    """Return the probabilities that a model's best seed gives on the test images: float32, (images, classes)."""
    record = study.results[name].record
    seeds = [entry["seed"] for entry in record.seeds]
    best = seeds.index(seeds[0] if record.best_seed is None else record.best_seed)
    return study.results[name].test_probabilities[best]


def _ask(study: Study, name: str, position: int) -> Question:
    probabilities, label = _best_answers(study, name)[position], int(study.prepared.part("test")[1][position])
    answer = int(probabilities.argmax())
    second = int(np.argsort(probabilities, kind="stable")[-2])
    is_right = answer == label
    return Question(int(position), answer, second if is_right else label, float(probabilities[answer]), is_right)


def draw_sheet(study: Study, questions: list[Question], attributions: np.ndarray) -> Sheet:
    """Draw each image beside its map; `attributions` as from `fitgap.prediction.attribution.attribute`."""
    pairs = zip(questions, attributions, strict=True)
    return Sheet(tuple(_explain(study, question, MAP_SIDE, values) for question, values in pairs))


def _explain(study: Study, question: Question, side: int, attributions: np.ndarray | None = None) -> Explanation:
    image, names = study.prepared.part("test")[0][question.position], study.prepared.class_names
    return Explanation(
        draw_png(image, side),
        names[question.answer],
        names[question.rival],
        question.probability,
        question.is_right,
        "" if attributions is None else draw_png(paint(image, attributions), side),
    )


def paint(image: np.ndarray, attributions: np.ndarray) -> np.ndarray:
    """Paint attributions over a faint copy of their image: blue above 0, vermilion below.

    `image` is uint8, (height, width, 3), as is what returns; `attributions` are float, (height, width).
    """
    faint = 255 - 0.25 * image.mean(axis=-1, keepdims=True)  # dark on light, so that the colours stand out
    limit = np.quantile(np.abs(attributions), BRIGHTEST) or 1.0
    strength = np.clip(np.abs(attributions) / limit, 0, 1)[..., None]
    colours = np.where(attributions[..., None] > 0, FOR, AGAINST)
    return ((1 - strength) * faint + strength * colours).round().astype(np.uint8)


def draw_png(pixels: np.ndarray, largest_side: int) -> str:
    """Return an image, uint8 (height, width, 3), as a PNG in a data: URL; a larger one is scaled down."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((largest_side, largest_side))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
