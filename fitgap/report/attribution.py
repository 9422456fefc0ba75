"""What the best model looks at: which answers are explained, and the sheet of images that shows it.

The attributions themselves need the trained network; `fitgap.prediction.attribution` computes them.
"""

from dataclasses import dataclass

import numpy as np

from fitgap.claims.study import Study
from fitgap.report.mistakes import best_answers, draw_png

EACH = 8  # explained answers of each kind: right and wrong
LARGEST_SIDE = 64  # of an image of the sheet in pixels; keeps the page small
FOR, AGAINST = (0, 114, 178), (213, 94, 0)  # RGB; blue and vermilion of Okabe and Ito 2008
BRIGHTEST = 0.99  # quantile of an image's attributions that gets the full colour


@dataclass(frozen=True)
class Question:
    """An answer to explain.

    Attributes
    ----------
    position : int
        Of the image in the test split.
    answer, rival : int
        The class that the model names, and the class to tell it from: the true class if the answer is wrong, the
        second choice if it is right.
    probability : float
        Of the answer.
    is_right : bool
    """

    position: int
    answer: int
    rival: int
    probability: float
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
        found = {title: [one for one in self.explanations if one.is_right is kind] for title, kind in kinds.items()}
        return {title: some for title, some in found.items() if some}


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
    return Sheet(
        tuple(
            Explanation(
                image=draw_png(images[one.position], LARGEST_SIDE),
                map=draw_png(paint(images[one.position], values), LARGEST_SIDE),
                answer=names[one.answer],
                rival=names[one.rival],
                probability=one.probability,
                is_right=one.is_right,
            )
            for one, values in zip(questions, attributions, strict=True)
        )
    )


def paint(image: np.ndarray, attributions: np.ndarray) -> np.ndarray:
    """Paint attributions over a faint copy of their image: blue above 0, vermilion below.

    Parameters
    ----------
    image : array
        uint8, (height, width, 3).
    attributions : array
        float, (height, width).

    Returns
    -------
    array
        uint8, (height, width, 3).
    """
    faint = 255 - 0.25 * image.mean(axis=-1, keepdims=True)  # dark on light, so that the colours stand out
    limit = np.quantile(np.abs(attributions), BRIGHTEST) or 1.0
    strength = np.clip(np.abs(attributions) / limit, 0, 1)[..., None]
    colours = np.where(attributions[..., None] > 0, FOR, AGAINST)
    return ((1 - strength) * faint + strength * colours).round().astype(np.uint8)
