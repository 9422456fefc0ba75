"""Simulate whole experiments whose repetitions draw their own images, and count false verdicts.

Every simulated experiment has a new pool and a new test set. Each of its repetitions draws training and validation
images from the pool, and fits all methods to them. A method is a nearest-class-mean classifier on features of its own.
The features of all methods are distributed alike, so that no method is better than another in expectation.

What is true of accuracies holds for new pools and new test images. What is true of losses on validation images holds
within the pool: it is measured by many further repetitions in the same pool. For a new pool these intervals are too
narrow, because the validation images of all repetitions are the same 900; `test_losses_in_a_new_pool` says by how much.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from fitgap.claims.calibration import signed_gaps
from fitgap.inference.estimates import estimate_over_seeds, estimate_over_seeds_and_images
from fitgap.inference.verdicts import CONTRADICTED, NO_DIFFERENCE, SUPPORTED, Comparison, judge

pytestmark = pytest.mark.slow
EXPERIMENTS, ALLOWED = 1000, 0.05  # allowed rate of false verdicts
CHANCE = 2 * (ALLOWED * (1 - ALLOWED) / EXPERIMENTS) ** 0.5  # two standard errors of a rate measured here
FURTHER = 100  # repetitions that measure what is true within a pool
REPETITIONS, METHODS, CLASSES, FEATURES = 20, 6, 10, 10
POOL, TRAIN, VALIDATION, TEST = 900, 100, 200, 897
CLARITY, ALIKE = 3.0, 0.8  # distance of the classes; share of an image's noise that all methods have in common
OWN = 0.2  # noise of a repetition, as from initial weights
MARGIN, LOSS_MARGIN = 0.02, 0.1  # as of the test accuracy and of the gap
FAR = 0.1  # accuracy that a method far behind lacks


@dataclass(frozen=True)
class Simulated:
    """The results of one experiment.

    Attributes
    ----------
    right : bool, (methods, repetitions, test images)
    confidences : float32, (2, repetitions, test images), the highest probabilities of the first two methods
    losses : float, (methods, repetitions), on the validation images of each repetition
    true_losses : float, (methods,), the expectation of a repetition in this pool
    """

    right: np.ndarray
    confidences: np.ndarray
    losses: np.ndarray
    true_losses: np.ndarray


def draw_experiment(random: np.random.Generator) -> Simulated:
    """Draw a pool, a test set and the images of each repetition; fit and measure all methods."""
    labels = {"pool": np.arange(POOL) % CLASSES, "test": np.arange(TEST) % CLASSES}
    common = {name: random.normal(size=(len(found), FEATURES)) for name, found in labels.items()}
    train, validation = draw_images(random, REPETITIONS + FURTHER)
    right, confidences, losses = [], [], []
    for method in range(METHODS):
        seen = {name: _features(random, labels[name], noise) for name, noise in common.items()}
        means = seen["pool"][train if method < 2 else train[:REPETITIONS]].mean(axis=2)
        means += OWN * random.normal(size=means.shape)
        logits = _logits(seen["test"], means[:REPETITIONS])
        right.append(logits.argmax(axis=-1).T == labels["test"])
        if method < 2:  # no test compares the losses and confidences of more
            confidences.append(np.exp(logits.max(axis=-1) - np.logaddexp.reduce(logits, axis=-1)).T.astype(np.float32))
            losses.append(_losses(seen["pool"], means, labels["pool"], validation))
    own, further = np.split(np.stack(losses), [REPETITIONS], axis=1)
    return Simulated(np.stack(right), np.stack(confidences), own, further.mean(axis=1))


def draw_images(random, repetitions: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw training images (repetitions, classes, images of a class) and validation images (repetitions, images)."""
    order = random.permuted(np.tile(np.arange(POOL // CLASSES), (repetitions, CLASSES, 1)), axis=-1)
    images = CLASSES * order + np.arange(CLASSES)[:, None]
    return images[..., : TRAIN // CLASSES], images[..., -VALIDATION // CLASSES :].reshape(repetitions, -1)


def _features(random, labels, common):
    own = random.normal(size=common.shape)
    return CLARITY * np.eye(CLASSES, FEATURES)[labels] + ALIKE**0.5 * common + (1 - ALIKE) ** 0.5 * own


def _logits(features, means):
    """Return (images, repetitions, classes)."""
    flat = means.reshape(-1, FEATURES)
    return (features @ flat.T - (flat**2).sum(axis=1) / 2).reshape(len(features), *means.shape[:2])


def _losses(features, means, labels, images):
    rows = np.einsum("rif,rcf->ric", features[images], means) - (means**2).sum(axis=2)[:, None] / 2
    true = np.take_along_axis(rows, labels[images][..., None], axis=-1)[..., 0]
    return (np.logaddexp.reduce(rows, axis=-1) - true).mean(axis=1)


@pytest.fixture(scope="module")
def experiments() -> list[Simulated]:
    random = np.random.default_rng(0)
    return [draw_experiment(random) for _ in range(EXPERIMENTS)]


@pytest.fixture(scope="module")
def accuracy(experiments) -> float:
    return float(np.mean([one.right.mean() for one in experiments]))


@pytest.fixture
def random():
    return np.random.default_rng(1)


def spoil(random, right: np.ndarray, loss: float, accuracy: float) -> np.ndarray:
    """Turn correct answers wrong at random, so that the expected accuracy falls by `loss`."""
    return right & (random.random(right.shape) >= loss / accuracy)


def compare_accuracies(one: np.ndarray, *others: np.ndarray) -> list[Comparison]:
    differences = [one.astype(float) - other for other in others]
    return [Comparison("", estimate_over_seeds_and_images(values), 1, "share", MARGIN) for values in differences]


def compare_losses(one: Simulated, shift: float = 0.0) -> list[Comparison]:
    """Compare the first two methods by losses whose true difference within the pool is `shift`."""
    centred = one.losses - one.true_losses[:, None]
    return [Comparison("", estimate_over_seeds(centred[0] - centred[1] + shift), 1, "nats", LOSS_MARGIN)]


def compare_calibrations(one: Simulated) -> list[Comparison]:
    """Compare the calibration errors of the first two methods."""
    parts = [signed_gaps(confidences, right) for confidences, right in zip(one.confidences, one.right[:2], strict=True)]
    return [Comparison("", estimate_over_seeds_and_images(parts[0] - parts[1]), -1, "share", MARGIN)]


def shares(studies, verdicts=(SUPPORTED, CONTRADICTED, NO_DIFFERENCE)) -> dict[str, float]:
    found = [judge(comparisons).verdict for comparisons in studies]
    return {verdict: found.count(verdict) / len(found) for verdict in verdicts}


def tell(capsys, what: str, rates: dict[str, float]) -> None:
    with capsys.disabled():
        said = ", ".join(f"{verdict} {rate:.1%}" for verdict, rate in rates.items())
        print(f"\n  {EXPERIMENTS} experiments of {REPETITIONS} repetitions ({what}): {said}")


def test_equal_accuracies(experiments, capsys):
    rates = shares(compare_accuracies(one.right[0], one.right[1]) for one in experiments)
    tell(capsys, "accuracy, no difference; the last is power", rates)
    assert max(rates[SUPPORTED], rates[CONTRADICTED]) <= ALLOWED + CHANCE


@pytest.mark.parametrize("ahead", [True, False])
def test_accuracies_that_differ_by_the_margin(experiments, accuracy, random, capsys, ahead):
    pairs = [
        (one.right[0], spoil(random, one.right[1], MARGIN, accuracy))[:: 1 if ahead else -1] for one in experiments
    ]
    rates = shares(compare_accuracies(*pair) for pair in pairs)
    tell(capsys, f"accuracy, {'ahead' if ahead else 'behind'} by the margin", rates)
    assert rates[NO_DIFFERENCE] <= ALLOWED + CHANCE
    assert rates[CONTRADICTED if ahead else SUPPORTED] <= ALLOWED + CHANCE


def test_a_difference_of_three_points_is_mostly_found(experiments, accuracy, random, capsys):
    worse = [spoil(random, one.right[1], 0.03, accuracy) for one in experiments]
    rates = shares(compare_accuracies(one.right[0], other) for one, other in zip(experiments, worse, strict=True))
    tell(capsys, "accuracy, ahead by 3 points; the first is power", rates)
    assert rates[SUPPORTED] > 0.5


def test_equal_calibration_errors(experiments, capsys):
    rates = shares(compare_calibrations(one) for one in experiments)
    tell(capsys, "calibration error, no difference; the last is power", rates)
    assert max(rates[SUPPORTED], rates[CONTRADICTED]) <= ALLOWED + CHANCE


def test_equal_losses(experiments, capsys):
    rates = shares(compare_losses(one) for one in experiments)
    tell(capsys, "validation loss within the pool, no difference; the last is power", rates)
    assert max(rates[SUPPORTED], rates[CONTRADICTED]) <= ALLOWED + CHANCE


def test_losses_in_a_new_pool(experiments, capsys):
    """A caveat in numbers: what docs/ideas.md says of intervals of losses and gaps beyond this pool."""
    pairs = (one.losses[0] - one.losses[1] for one in experiments)
    rates = shares([Comparison("", estimate_over_seeds(pair), 1, "nats", LOSS_MARGIN)] for pair in pairs)
    tell(capsys, "validation loss in a new pool, no difference", rates)
    assert max(rates[SUPPORTED], rates[CONTRADICTED]) <= 0.15


@pytest.mark.parametrize("shift", [LOSS_MARGIN, -LOSS_MARGIN])
def test_losses_that_differ_by_the_margin(experiments, capsys, shift):
    rates = shares(compare_losses(one, shift) for one in experiments)
    tell(capsys, f"validation loss within the pool, difference {shift} is the margin", rates)
    assert rates[NO_DIFFERENCE] <= ALLOWED + CHANCE
    assert rates[CONTRADICTED if shift > 0 else SUPPORTED] <= ALLOWED + CHANCE


def test_best_of_six_with_one_equal_rival(experiments, accuracy, random, capsys):
    studies = (compare_accuracies(*one.right[:2], *spoil(random, one.right[2:], FAR, accuracy)) for one in experiments)
    rates = shares(studies)
    tell(capsys, "best of six, one rival equal, four far behind", rates)
    assert max(rates[SUPPORTED], rates[CONTRADICTED]) <= ALLOWED + CHANCE


def test_best_of_six_all_equal(experiments, capsys):
    rates = shares(compare_accuracies(*one.right) for one in experiments)
    tell(capsys, "best of six, all equal", rates)
    assert max(rates[SUPPORTED], rates[CONTRADICTED]) <= ALLOWED + CHANCE


def test_best_of_six_with_all_rivals_at_the_margin(experiments, accuracy, random, capsys):
    studies = (compare_accuracies(one.right[0], *spoil(random, one.right[1:], MARGIN, accuracy)) for one in experiments)
    rates = shares(studies)
    tell(capsys, "best of six, all rivals behind by the margin", rates)
    assert max(rates[CONTRADICTED], rates[NO_DIFFERENCE]) <= ALLOWED + CHANCE


def test_best_of_six_that_is_behind_all_rivals_by_the_margin(experiments, accuracy, random, capsys):
    studies = (compare_accuracies(spoil(random, one.right[0], MARGIN, accuracy), *one.right[1:]) for one in experiments)
    rates = shares(studies)
    tell(capsys, "best of six, all rivals ahead by the margin", rates)
    assert max(rates[SUPPORTED], rates[NO_DIFFERENCE]) <= ALLOWED + CHANCE
