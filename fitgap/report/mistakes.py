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
class Example:
    """A misclassified test image: true class, prediction and its probability; `image` is a PNG as a data: URL."""

    image: str
    truth: str
    answer: str
    probability: float


@dataclass(frozen=True)
class Mistakes:
    """Misclassifications of a model on the test images."""

    model: str
    by_class: pd.DataFrame  # a row per class: `class`, `images`, `accuracy`, `confused_with`, `times` (over all seeds)
    confusion: pd.DataFrame  # over all seeds, normalised by row: rows are true classes, columns predictions
    examples: list[Example]  # misclassified images of the model's best seed, most confident first

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
        Example(draw_png(images[row], EXAMPLE_SIDE), names[labels[row]], names[answers[row]], float(sureness[row]))
        for row in surest
    ]


@dataclass(frozen=True)
class Question:
    """An answer to explain."""

    position: int  # of the image in the test split
    answer: int  # the class that the model names
    rival: int  # the class to tell it from: the true one if the answer is wrong, the second choice if it is right
    probability: float  # of the answer
    is_right: bool


@dataclass(frozen=True)
class Explanation:
    """A question in words, with the image and its map as PNG files in data: URLs."""

    image: str
    map: str
    answer: str
    rival: str
    probability: float
    is_right: bool


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


def choose_questions(study: Study, name: str) -> list[Question]:
    """Choose the surest wrong answers of a model's best seed, and its surest right answer for each of some classes."""
    probabilities, labels = best_answers(study, name), study.prepared.part("test")[1]
    answers, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
    surest = np.argsort(-sureness, kind="stable")
    right = answers == labels
    first = {}
    for position in surest[right[surest]]:
        first.setdefault(int(labels[position]), position)
    spread = np.unique(np.linspace(0, max(len(first) - 1, 0), EACH).round().astype(int))
    chosen = [*surest[~right[surest]][:EACH], *(first[sorted(first)[place]] for place in spread if first)]
    return [_ask(int(position), probabilities[position], int(labels[position])) for position in chosen]


def _ask(position: int, probabilities: np.ndarray, label: int) -> Question:
    second, answer = (int(place) for place in np.argsort(probabilities, kind="stable")[-2:])
    is_right = answer == label
    return Question(position, answer, second if is_right else label, float(probabilities[answer]), is_right)


def draw_sheet(study: Study, questions: list[Question], attributions: np.ndarray) -> Sheet:
    """Draw each image beside its map; `attributions` as from `fitgap.prediction.attribution.attribute`."""
    images, names = study.prepared.part("test")[0], study.prepared.class_names
    explanations = [
        Explanation(
            image=draw_png(images[question.position], MAP_SIDE),
            map=draw_png(paint(images[question.position], values), MAP_SIDE),
            answer=names[question.answer],
            rival=names[question.rival],
            probability=question.probability,
            is_right=question.is_right,
        )
        for question, values in zip(questions, attributions, strict=True)
    ]
    return Sheet(tuple(explanations))


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
