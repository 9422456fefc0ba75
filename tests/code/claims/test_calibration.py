"""Test the calibration error, its parts by image, the differences to the baseline, and the claims about them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from fitgap import claims
from fitgap.claims.calibration import (
    BINS,
    Answers,
    expected_by_chance,
    measure_calibrations,
    read_answers,
    signed_gaps,
)
from fitgap.claims.claim import judge_claim
from fitgap.claims.study import Study
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, SUPPORTED
from fitgap.report.tables import summary_table

DATA = synthetic.prepared(images=1200)


def answers(confidences, right, columns=None) -> Answers:
    confidences, right = np.atleast_2d(confidences), np.atleast_2d(right)
    return Answers(pd.DataFrame(confidences, columns=columns), pd.DataFrame(right, columns=columns))


def textbook_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Equation 3 of Guo et al. 2017: bins ((m - 1) / M, m / M]."""
    total = 0.0
    for bin_ in range(1, BINS + 1):
        inside = (confidences > (bin_ - 1) / BINS) & (confidences <= bin_ / BINS)
        if inside.any():
            total += inside.sum() / len(right) * abs(right[inside].mean() - confidences[inside].mean())
    return total


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(0)
    confidences = random.uniform(0.1, 1, (3, 500)).astype(np.float32)
    return confidences, random.uniform(size=confidences.shape) < confidences**2


def test_errors_are_those_of_the_textbook(drawn):
    found = answers(*drawn).errors
    expected = [textbook_error(*one) for one in zip(*drawn, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_known_cases():
    sure_but_wrong = answers(np.full(10, 0.99), [1] * 6 + [0] * 4)
    assert sure_but_wrong.errors[0] == pytest.approx(0.39)
    assert sure_but_wrong.overconfidence == pytest.approx(0.39)
    honest = answers(np.full(10, 0.8), [1] * 8 + [0] * 2)
    assert honest.errors[0] == pytest.approx(0) and honest.overconfidence == pytest.approx(0)
    opposite = answers([0.6, 0.6, 0.95, 0.95], [1, 1, 0, 1])  # in one bin too modest, in another too sure
    assert opposite.errors[0] == pytest.approx(0.5 * 0.4 + 0.5 * 0.45)
    assert opposite.overconfidence == pytest.approx(0.5 * -0.4 + 0.5 * 0.45)


def test_parts_say_what_each_image_contributes(drawn):
    confidences, right = (values[:1] for values in drawn)
    parts, images = signed_gaps(confidences, right)[0], confidences.shape[1]
    for image in range(0, images, 50):
        without = [np.delete(values[0], image) for values in (confidences, right)]
        expected = (images * parts.mean() - parts[image]) / (images - 1)
        assert textbook_error(*without) == pytest.approx(expected, rel=1e-6)


def test_chance_alone_gives_an_error_that_shrinks_with_more_images():
    random = np.random.default_rng(3)
    for images in (200, 3200):
        confidences = random.uniform(0.3, 1, (200, images))
        errors = answers(confidences, random.random(confidences.shape) < confidences).errors
        assert expected_by_chance(confidences) == pytest.approx(errors.mean(), rel=0.05)
    # Four equal coins that are sure of a half: |4 x 0.5 - right| / 4 is 0, 1/4, 1/2 with chances 6/16, 8/16, 2/16.
    assert expected_by_chance(np.full((2000, 4), 0.5)) == pytest.approx(3 / 16, rel=0.02)
    assert expected_by_chance(np.ones((3, 100))) == 0


def test_differences_are_paired_by_seed_and_image(drawn):
    confidences, right = drawn
    whole, part = answers(confidences, right), answers(confidences[:, 100:], right[:, 100:], range(100, 500))
    study = synthetic.study(data=DATA)
    same = study.paired_difference(whole.parts, whole.parts)
    assert same.value == 0 and same.interval() == (0, 0)
    difference = study.paired_difference(whole.parts, part.parts)
    assert difference.seeds == 3 and abs(difference.value) < 0.05


def with_certainty(study: Study, name: str, certainty: float) -> Study:
    """Return the study with a model that answers as before, but is that sure of each answer."""
    result = study.results[name]
    classes = result.test_probabilities.shape[-1]
    is_answer = result.test_probabilities == result.test_probabilities.max(axis=-1, keepdims=True)
    given = np.where(is_answer, certainty, (1 - certainty) / (classes - 1)).astype(np.float32)
    return Study.gather(study.params, [*study.results.values(), replace(result, test_probabilities=given)], DATA)


def verdict(study: Study, name: str = "dropout_calibrates") -> str:
    return next(judge_claim(claim, study).verdict for claim in claims.declare(study.params) if claim.id == name)


def test_claims_are_judged_by_the_differences():
    usual = synthetic.study(data=DATA, seeds=range(6))
    for variant in ("dropout", "label_smoothing"):
        name = f"{variant}_calibrates"
        accuracy = usual.right[f"scratch@{variant}"].to_numpy().mean()
        too_sure = with_certainty(usual, "scratch@baseline", 0.999)
        assert verdict(with_certainty(too_sure, f"scratch@{variant}", accuracy), name) == SUPPORTED
        assert verdict(with_certainty(usual, f"scratch@{variant}", 0.4), name) == CONTRADICTED


def test_models_alike_have_no_relevant_difference_and_few_seeds_no_verdict():
    usual = synthetic.study(data=DATA)
    twin = replace(usual.results["scratch@baseline"].record, variant="dropout")
    alike = replace(usual.results["scratch@baseline"], record=twin)
    assert verdict(Study.gather(usual.params, [*usual.results.values(), alike], DATA)) == NO_DIFFERENCE
    assert verdict(synthetic.study(data=DATA, seeds=[1, 2])) == INCONCLUSIVE


def test_diverged_models_and_models_without_answers_are_left_out():
    usual = synthetic.study(data=DATA)
    broken, empty = usual.results["scratch@l1"], replace(usual.results["scratch@l2"], test_probabilities=None)
    given = broken.test_probabilities.copy()
    given[0] = np.nan
    study = Study.gather(
        usual.params, [*usual.results.values(), replace(broken, test_probabilities=given), empty], DATA
    )
    assert read_answers(study, "scratch@l1") is None and read_answers(study, "scratch@l2") is None
    measured = {one.model for one in measure_calibrations(study, "scratch")}
    assert "scratch@dropout" in measured and not measured & {"scratch@l1", "scratch@l2"}
    rows = summary_table(study).set_index("model")["calibration_error_mean"]
    assert rows[["scratch@l1", "scratch@l2"]].isna().all() and rows[["scratch@dropout", "asis"]].notna().all()
