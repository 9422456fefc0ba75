"""Test estimates and intervals against hand-computed cases, scipy and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from fitgap.inference.estimates import (
    Estimate,
    Proportion,
    estimate_over_images,
    estimate_over_seeds,
    estimate_over_seeds_and_images,
)
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Comparison, judge

EXPERIMENTS = 1000
ALLOWED = 0.05  # of false "supported" verdicts


def compared(*estimates, direction=1):
    return [Comparison(f"pair {i}", estimate, direction, "") for i, estimate in enumerate(estimates)]


def test_interval_over_seeds_by_hand():
    # Differences 1, 2, 3: mean 2, sd 1, standard error 1 / sqrt(3), t(2 df, 0.975) = 4.302653.
    estimate = estimate_over_seeds([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)
    assert estimate.value == 2
    assert estimate.interval() == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_interval_over_seeds_is_scipys_paired_t_interval():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=7), random.normal(size=7)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert estimate_over_seeds(ours - theirs).interval() == pytest.approx((expected.low, expected.high))


def test_seeds_and_images_by_hand():
    # Rows (seeds) 1 1 0 / 1 0 0: mean 1/2; seed means 2/3, 1/3; image means 1, 1/2, 0.
    # Mean squares: seeds 3 * 1/18 = 1/6, images 2 * 1/4 = 1/2, rest (4 * 1/36 + 2 * 1/9) / 2 = 1/6.
    estimate = estimate_over_seeds_and_images([[1, 1, 0], [1, 0, 0]])
    assert estimate.value == pytest.approx(1 / 2)
    assert estimate.seed_variance == pytest.approx((1 / 6) / 3)
    assert estimate.image_variance == pytest.approx((1 / 2 - 1 / 6) / 6)
    # Hillis: ((MS_seed + MS_image - MS_rest) / MS_seed)^2 * (seeds - 1) = (0.5 / (1/6))^2 = 9.
    assert estimate.degrees_of_freedom() == pytest.approx(9)


def test_more_seeds_narrow_the_interval_but_never_below_the_images_part():
    few, many = Estimate(0.1, 3, 0.01, 0.0004), Estimate(0.1, 300, 0.01, 0.0004)
    width = [high - low for low, high in (few.interval(), many.interval())]
    assert width[1] < width[0] / 5
    assert width[1] > 2 * 1.95 * 0.02


def test_proportion_is_wilsons_interval():
    # Wilson (1927) for 0 of 10: 0 to z^2 / (10 + z^2).
    z2 = stats.norm.ppf(0.975) ** 2
    assert Proportion(0.0, 10).interval() == pytest.approx((0, z2 / (10 + z2)))


def test_over_images_is_scipys_paired_t_interval():
    random = np.random.default_rng(7)
    one, other = (random.random(200) < share for share in (0.8, 0.7))
    expected = stats.ttest_rel(one.astype(float), other.astype(float)).confidence_interval(0.95)
    estimate = estimate_over_images(one.astype(float) - other)
    assert estimate.interval() == pytest.approx((expected.low, expected.high))
    assert estimate.is_enough and estimate.seeds == 1


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [0.2, 0.2, 0.2], [1e-300] * 4])
def test_identical_differences_give_a_verdict_and_no_nan(values):
    estimate = estimate_over_seeds(values)
    assert estimate.interval() == pytest.approx((estimate.value, estimate.value))
    verdict = judge(compared(estimate)).verdict
    assert verdict == (SUPPORTED if values[0] > 0 else INCONCLUSIVE)


def test_identical_counts_still_leave_the_doubt_of_rounding():
    low, high = estimate_over_seeds([1.0, 1.0, 1.0], resolution=1).interval()
    assert low < 1 < high
    assert judge(compared(estimate_over_seeds([1.0, 1.0, 1.0], resolution=1))).verdict == INCONCLUSIVE


def test_identical_answers_give_no_nan():
    estimate = estimate_over_seeds_and_images(np.zeros((3, 50)))
    assert estimate.interval() == (0, 0)
    assert judge(compared(estimate)).verdict == INCONCLUSIVE


@pytest.mark.parametrize("seeds", [0, 1, 2])
def test_too_few_seeds_are_inconclusive_however_clear_they_look(seeds):
    finding = judge(compared(estimate_over_seeds([5.0] * seeds)))
    assert finding.verdict == INCONCLUSIVE
    assert "too few seeds" in finding.note


def test_best_of_all_needs_every_comparison():
    clear, unclear = estimate_over_seeds([1.0, 1.1, 0.9]), estimate_over_seeds([0.1, -0.1, 0.05])
    assert judge(compared(clear, clear)).verdict == SUPPORTED
    assert judge(compared(clear, unclear)).verdict == INCONCLUSIVE
    assert judge(compared(clear, estimate_over_seeds([-1.0, -1.1, -0.9]))).verdict == CONTRADICTED


def test_inconclusive_shows_what_stands_in_the_way():
    merely_uncertain, wrong_side = estimate_over_seeds([9.0, -5.0, 2.0]), estimate_over_seeds([-1.0, -0.2, -0.4])
    assert judge(compared(merely_uncertain, wrong_side)).deciding.estimate == wrong_side
    assert judge(compared(merely_uncertain, estimate_over_seeds([1.0, 1.1, 0.9]))).deciding.estimate == merely_uncertain


def test_contradicted_needs_the_interval_on_the_other_side():
    assert judge(compared(estimate_over_seeds([-1.0, -0.2, -0.4]))).verdict == INCONCLUSIVE
    assert judge(compared(estimate_over_seeds([-1.0, -1.1, -0.9]))).verdict == CONTRADICTED
    assert judge(compared(estimate_over_seeds([-1.0, -1.1, -0.9]), direction=-1)).verdict == SUPPORTED


def test_seeds_needed_agrees_with_simulated_power():
    estimate = Estimate(0.5, 3, 1.0)
    needed = estimate.seeds_needed()
    assert needed == 34  # as every power table of the paired t test says for d = 0.5
    random = np.random.default_rng(1)
    found = [estimate_over_seeds(random.normal(0.5, 1, needed)).interval()[0] > 0 for _ in range(EXPERIMENTS)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_no_number_of_seeds_settles_what_the_test_images_leave_open():
    assert Estimate(0.01, 3, 0.0001, image_variance=0.0004).seeds_needed() is None
    assert Estimate(0.0, 3, 0.0001).seeds_needed() is None


def test_false_supported_over_seeds(capsys):
    """One difference with true value 0: the boundary, where a false verdict is most likely."""
    random = np.random.default_rng(2)
    rates = {n: _supported(lambda n=n: compared(estimate_over_seeds(random.normal(size=n)))) for n in (3, 5, 10)}
    _report(capsys, "a difference that is 0, over seeds", rates)


def test_false_supported_best_of_all(capsys):
    """Best of six, with one equal rival and four far behind: the worst case of an intersection-union test."""
    random = np.random.default_rng(3)

    def experiment(n):
        behind = [estimate_over_seeds(50 + random.normal(size=n)) for _ in range(4)]
        return compared(estimate_over_seeds(random.normal(size=n)), *behind)

    _report(capsys, "best of all, one rival equal", {n: _supported(lambda n=n: experiment(n)) for n in (3, 5)})


@pytest.mark.parametrize("of_seeds", [0.0, 0.3, 1.0])
def test_false_supported_accuracy(capsys, of_seeds):
    """Two models equally accurate in expectation; seeds and images both vary, little or much."""
    random = np.random.default_rng(4)
    rates = {n: _supported(lambda n=n: compared(_accuracies(random, n, of_seeds, 0.0))) for n in (3, 5)}
    _report(capsys, f"accuracy, equal models, seeds vary by {of_seeds}", rates)


def test_false_supported_over_images(capsys):
    """Two networks without seeds, equally accurate in expectation, on the same images."""
    random = np.random.default_rng(8)

    def experiment(images):
        share = 1 / (1 + np.exp(-random.normal(2, 1.5, images)))
        right = [random.random(images) < share for _ in range(2)]
        return compared(estimate_over_images(right[0].astype(float) - right[1]))

    rates = {n: _supported(lambda n=n: experiment(n)) for n in (100, 1000)}
    _report(capsys, "probes, over images", rates, of="images")


def test_wide_margins_are_found():
    random = np.random.default_rng(5)
    assert _supported(lambda: compared(estimate_over_seeds(random.normal(20, 1, 3)))) > 0.95
    assert _supported(lambda: compared(_accuracies(random, 3, 0.1, 1.5))) > 0.95


def _accuracies(random, seeds, of_seeds, ahead):
    """Simulate the difference of two models on 300 images: random effects of image, seed and model, plus noise."""
    image = random.normal(2, 1.5, 300)
    right = [
        random.random((seeds, 300))
        < 1 / (1 + np.exp(-(image + random.normal(0, 0.7, 300) + random.normal(0, of_seeds, (seeds, 1)) + lead)))
        for lead in (ahead, 0.0)
    ]
    return estimate_over_seeds_and_images(right[0].astype(float) - right[1])


def _supported(experiment):
    return np.mean([judge(experiment()).verdict == SUPPORTED for _ in range(EXPERIMENTS)])


def _report(capsys, what, rates, of="seeds"):
    with capsys.disabled():
        said = ", ".join(f"{rate:.1%} with {n} {of}" for n, rate in rates.items())
        print(f"\n  false 'supported' in {EXPERIMENTS} experiments ({what}): {said}")
    assert max(rates.values()) <= ALLOWED
