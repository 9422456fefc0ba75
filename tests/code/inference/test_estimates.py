"""Test estimates and intervals against hand-computed cases, scipy and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from fitgap.inference.estimates import (
    Estimate,
    Proportion,
    estimate_over_seeds,
    estimate_over_seeds_and_images,
    estimate_win_rate,
)
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, SUPPORTED, Comparison, judge

EXPERIMENTS = 1000
ALLOWED = 0.05  # of false "supported" verdicts


def compared(*estimates, direction=1, margin=None):
    return [Comparison(f"pair {i}", estimate, direction, "", margin) for i, estimate in enumerate(estimates)]


def test_interval_over_seeds_by_hand():
    # Differences 1, 2, 3: mean 2, sd 1, standard error 1 / sqrt(3), t(2 df, 0.975) = 4.302653.
    estimate = estimate_over_seeds([1.0, 2.0, math.nan, 3.0])
    assert estimate.by_seed == (1, 2, 3)
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


def test_proportion_is_wilsons_interval():
    # Wilson (1927) for 0 of 10: 0 to z^2 / (10 + z^2).
    z2 = stats.norm.ppf(0.975) ** 2
    assert Proportion(0.0, 10).interval() == pytest.approx((0, z2 / (10 + z2)))


@pytest.mark.parametrize(
    ("wins", "losses", "share", "low", "high"),
    [
        (10, 0, 1.0, 0.6915, 1.0),  # low: 0.025^(1/10)
        (0, 10, 0.0, 0.0, 0.3085),
        (8, 2, 0.8, 0.4439, 0.9748),  # Clopper and Pearson's table
        (1, 0, 1.0, 0.0250, 1.0),
    ],
)
def test_win_rate_is_clopper_and_pearsons(wins, losses, share, low, high):
    differences = [0.01] * wins + [-2.0] * losses
    assert estimate_win_rate(differences) == pytest.approx((share, low, high), abs=1e-4)
    assert estimate_win_rate(differences, direction=-1) == pytest.approx((1 - share, 1 - high, 1 - low), abs=1e-4)


def test_ties_count_half_for_each_side():
    assert estimate_win_rate([]) is None
    assert estimate_win_rate([0.0] * 4)[0] == 0.5
    assert estimate_win_rate([1.0, 0.0, 0.0, -1.0]) == pytest.approx(estimate_win_rate([1.0, 1.0, -1.0, -1.0]))
    # 3.5 of 4: the ends lie between those of 3 and of 4.
    share, low, high = estimate_win_rate([1.0, 1.0, 1.0, 0.0])
    assert share == 0.875
    assert estimate_win_rate([1.0] * 3 + [-1.0])[1] < low < estimate_win_rate([1.0] * 4)[1]
    assert estimate_win_rate([1.0] * 3 + [-1.0])[2] < high <= 1


def test_equivalence_is_two_one_sided_tests():
    random = np.random.default_rng(4)
    for error in (0.05, 0.01):
        for _ in range(25):
            values = random.normal(0.3, 1, 8)
            tests = (
                stats.ttest_1samp(values, -1, alternative="greater"),
                stats.ttest_1samp(values, 1, alternative="less"),
            )
            (pair,) = compared(estimate_over_seeds(values), margin=1.0)
            assert pair.is_equivalent(error) == (max(test.pvalue for test in tests) < error)


def test_equivalence_needs_a_margin_and_does_not_depend_on_the_side():
    estimate = estimate_over_seeds([0.1, -0.1, 0.05, 0.0])
    assert not compared(estimate)[0].is_equivalent()
    assert all(compared(estimate, direction=side, margin=1.0)[0].is_equivalent() for side in (1, -1))


def test_small_difference_is_not_relevant():
    estimate = estimate_over_seeds([0.1, -0.1, 0.05, 0.0])
    finding = judge(compared(estimate, margin=1.0))
    assert finding.verdict == NO_DIFFERENCE
    assert finding.level == pytest.approx(0.9)  # its two one-sided tests at 5% are an interval of 90%
    assert judge(compared(estimate, margin=0.01)).verdict == INCONCLUSIVE
    clear = estimate_over_seeds([0.1, 0.11, 0.09, 0.1])  # counts, although it is smaller than the margin
    assert judge(compared(clear, margin=1.0)).verdict == SUPPORTED
    assert judge(compared(clear, direction=-1, margin=1.0)).verdict == CONTRADICTED


def test_contradicted_by_one_comparison_counts_before_another_without_relevant_difference():
    small, bad = estimate_over_seeds([0.1, -0.1, 0.05, 0.0]), estimate_over_seeds([-9.0, -9.1, -8.9])
    assert judge(compared(small, bad, margin=1.0)).verdict == CONTRADICTED


def test_ahead_of_all_but_one_and_equal_to_that_one_names_it():
    clear, equal = estimate_over_seeds([9.0, 9.1, 8.9, 9.0]), estimate_over_seeds([0.1, -0.1, 0.05, 0.0])
    finding = judge(compared(clear, equal, clear, margin=1.0))
    assert (finding.verdict, finding.deciding.label) == (NO_DIFFERENCE, "pair 1")


def test_a_tie_is_not_the_news_while_another_rival_is_ahead():
    """The 95% interval of the rival lies below 0, the one widened for three comparisons does not."""
    equal, clear = estimate_over_seeds([0.1, -0.1, 0.05, 0.0]), estimate_over_seeds([9.0, 9.1, 8.9, 9.0])
    ahead = estimate_over_seeds([-5.0, -3.0, -1.0, -4.0])
    assert ahead.interval()[1] < 0 < ahead.interval(1 - 0.05 / 3)[1]
    finding = judge(compared(equal, ahead, clear, margin=1.0))
    assert (finding.verdict, finding.deciding.label) == (INCONCLUSIVE, "pair 1")
    assert finding.seeds_needed > 4  # the tie is proven, and settles nothing
    barely = estimate_over_seeds([-0.1, -0.11, -0.02, -0.1])  # behind, but by less than the margin
    assert barely.interval()[1] < 0 < barely.interval(1 - 0.05 / 3)[1]
    assert judge(compared(equal, barely, clear, margin=1.0)).verdict == NO_DIFFERENCE


def test_equivalence_of_one_among_many_is_corrected_for_their_number():
    """One rival of m: the half-width at error 0.05 / m decides, by Bonferroni."""
    values = [0.1, -0.1, 0.2, -0.2, 0.05]
    estimate, unclear = estimate_over_seeds(values), estimate_over_seeds([9.0, -9.0, 5.0, -5.0, 1.0])
    error = stats.sem(values)
    for number in (1, 2, 6):
        half = abs(np.mean(values)) + error * stats.t.ppf(1 - 0.05 / number, len(values) - 1)
        others = [unclear] * (number - 1)
        assert judge(compared(estimate, *others, margin=1.001 * half)).verdict == NO_DIFFERENCE
        assert judge(compared(estimate, *others, margin=0.999 * half)).verdict == INCONCLUSIVE


def test_contradiction_by_one_among_many_is_corrected_for_their_number():
    values, unclear = np.array([0.1, -0.1, 0.2, -0.2, 0.05]), estimate_over_seeds([9.0, -9.0, 5.0, -5.0, 1.0])
    for number in (1, 2, 6):
        half = stats.sem(values) * stats.t.ppf(1 - 0.025 / number, len(values) - 1)
        for factor, verdict in ((1.001, CONTRADICTED), (0.999, INCONCLUSIVE)):
            bad = estimate_over_seeds(values - values.mean() - factor * half)
            assert judge(compared(bad, *[unclear] * (number - 1))).verdict == verdict


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
    for value, margin in ((5.0, None), (0.0, 1.0)):
        finding = judge(compared(estimate_over_seeds([value] * seeds), margin=margin))
        assert finding.verdict == INCONCLUSIVE
        assert "too few repetitions" in finding.note


def test_every_comparison_must_hold():
    clear, unclear = estimate_over_seeds([1.0, 1.1, 0.9]), estimate_over_seeds([0.1, -0.1, 0.05])
    assert judge(compared(clear, clear)).verdict == SUPPORTED
    assert judge(compared(clear, unclear)).verdict == INCONCLUSIVE
    assert judge(compared(clear, estimate_over_seeds([-1.0, -1.1, -0.9]))).verdict == CONTRADICTED


def test_inconclusive_shows_what_stands_in_the_way():
    merely_uncertain, wrong_side = estimate_over_seeds([9.0, -5.0, 2.0]), estimate_over_seeds([-1.0, -0.2, -0.4])
    assert judge(compared(merely_uncertain, wrong_side)).deciding.estimate == wrong_side
    assert judge(compared(merely_uncertain, estimate_over_seeds([1.0, 1.1, 0.9]))).deciding.estimate == merely_uncertain


def test_seeds_needed_agrees_with_simulated_power():
    estimate = Estimate(0.5, 3, 1.0)
    needed = estimate.seeds_needed()
    assert needed == 34  # as every power table of the paired t test says for d = 0.5
    random = np.random.default_rng(1)
    found = [estimate_over_seeds(random.normal(0.5, 1, needed)).interval()[0] > 0 for _ in range(EXPERIMENTS)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_seeds_needed_for_a_small_difference_agree_with_simulated_power():
    estimate = Estimate(0.001, 20, 0.05**2)
    assert estimate.seeds_needed() is None  # to exclude 0
    needed = estimate.seeds_needed(0.9, margin=0.02)
    assert needed == judge(compared(estimate, margin=0.02)).seeds_needed == 56
    random = np.random.default_rng(1)
    studies = [compared(estimate_over_seeds(random.normal(0.001, 0.05, needed)), margin=0.02) for _ in range(2000)]
    assert np.mean([pair.is_equivalent() for (pair,) in studies]) == pytest.approx(0.8, abs=0.03)
    assert Estimate(0.03, 20, 0.05**2).seeds_needed(0.9, margin=0.02) is None


def test_the_quicker_plan_counts():
    clear_soon = Estimate(0.019, 20, 0.05**2)  # above 0 sooner than below the margin
    assert judge(compared(clear_soon, margin=0.02)).seeds_needed == clear_soon.seeds_needed()
    small_soon = Estimate(0.005, 20, 0.05**2)
    assert judge(compared(small_soon, margin=0.02)).seeds_needed < small_soon.seeds_needed()


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
    rates = {n: _supported(lambda n=n: compared(_accuracies(random, n, of_seeds))) for n in (3, 5)}
    _report(capsys, f"accuracy, equal models, seeds vary by {of_seeds}", rates)


def _accuracies(random, seeds, of_seeds):
    """Simulate the difference of two models on 300 images: random effects of image, seed and model, plus noise."""
    image = random.normal(2, 1.5, 300)
    right = [
        random.random((seeds, 300))
        < 1 / (1 + np.exp(-(image + random.normal(0, 0.7, 300) + random.normal(0, of_seeds, (seeds, 1)))))
        for _ in range(2)
    ]
    return estimate_over_seeds_and_images(right[0].astype(float) - right[1])


def _supported(experiment):
    return np.mean([judge(experiment()).verdict == SUPPORTED for _ in range(EXPERIMENTS)])


def _report(capsys, what, rates):
    with capsys.disabled():
        said = ", ".join(f"{rate:.1%} with {n} seeds" for n, rate in rates.items())
        print(f"\n  false 'supported' in {EXPERIMENTS} experiments ({what}): {said}")
    assert max(rates.values()) <= ALLOWED
