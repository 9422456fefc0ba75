"""Test what the report says of trials: choices in words, what looks cut off, and the best loss to expect of some."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import synthetic_results as synthetic

from fitgap.report import trials

LEARNING_RATES = {"scratch.learning_rate": [0.00005, 0.002, 0.004], "variants.dropout.dropout": [0.1, 0.3, 0.5]}


@pytest.fixture(scope="module")
def study():
    return synthetic.study(synthetic.params(**LEARNING_RATES), dropout=(0.95, 0.004, 0.35))


def row(study, name="scratch@dropout"):
    """Return a model's row by headings."""
    rows = {own[0]: dict(zip(trials.HEADINGS, own, strict=True)) for own in trials.trial_rows(study)}
    return rows[name]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_expected_best_is_the_mean_over_all_choices_of_so_many(count):
    losses = [0.4, 0.9, 0.2, 0.4, 0.7]
    assert trials.expected_best(np.array(losses), count) == pytest.approx(
        np.mean([min(some) for some in combinations(losses, count)])
    )


def test_a_diverged_trial_counts_as_the_worst_where_it_can_be_the_best():
    losses = np.array([0.4, np.nan, 0.2])
    assert trials.expected_best(losses, 1) == np.inf
    assert trials.expected_best(losses, 2) == pytest.approx((0.4 + 0.2 + 0.2) / 3)


def test_row_has_the_choice_its_loss_and_the_growth_with_the_number_of_trials(study):
    shown = row(synthetic.with_trials(study))
    assert (shown["trials"], shown["chosen"]) == ("3", "dropout 0.3, learning rate 0.002")
    assert shown["its validation loss"] == "0.300 (3 draws)"
    assert [shown[name] for name in trials.HEADINGS[4:8]] == ["0.400", "0.333", "–", "0.300"]
    assert shown["remarks"] == "–"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"dropout": 0.5, "learning_rate": 0.002}, "cut off: dropout 0.5 at an end of the candidates"),
        (
            {"dropout": 0.1, "learning_rate": 0.00005},
            "cut off: dropout 0.1, learning rate 0.00005 at an end of the candidates",
        ),
    ],
)
def test_choice_at_an_end_of_its_candidates_is_cut_off(study, choice, said):
    assert row(synthetic.with_trials(study, **choice))["remarks"] == said


def test_two_candidates_have_no_ends_and_words_neither():
    changes = {"variants.best_block.dense_units": [0, 256], "variants.best_block.layer": ["block3_pool", "block4_pool"]}
    study = synthetic.study(synthetic.params(**changes))
    shown = row(synthetic.with_trials(study, "head@best_block", layer="block3_pool", dense_units=0), "head@best_block")
    assert (shown["chosen"], shown["remarks"]) == ("layer block3_pool, dense units 0", "–")


def test_fewer_trials_than_others_of_the_family_are_named(study):
    both = synthetic.with_trials(synthetic.with_trials(study), "scratch@baseline", (0.4, 0.5), 1, learning_rate=0.002)
    assert row(both, "scratch@baseline")["remarks"].startswith("fewer trials than the 3 of others")
    assert row(both)["remarks"] == "–"


def test_best_epoch_that_is_the_last_for_most_repetitions_is_cut_off_with_trials_or_without(study):
    result, epochs = study.results["scratch@l1"], study.params.scratch.epochs
    ends = [epochs, epochs, 3]
    rows = [{**own, "epochs_to_best": end} for own, end in zip(result.record.seeds, ends, strict=True)]
    cut = replace(result, record=replace(result.record, seeds=rows))
    shown = row(replace(study, results=study.results | {"scratch@l1": cut}), "scratch@l1")
    assert shown["remarks"] == "cut off: the best epoch is the last in 2 of 3 repetitions" and shown["trials"] == "–"


def test_strengths_are_what_trials_chose_or_params_have_without_the_learning_rate(study):
    shown = trials.describe_strengths(synthetic.with_trials(study, dropout=0.5, learning_rate=0.004))
    assert shown["scratch@dropout"] == "dropout 0.5"
    assert shown["scratch@augment"] == "shift 0.05, rotation 0.015, zoom 0.05"
    assert shown["scratch@batchnorm"] == shown["scratch@baseline"] == shown["finetune@block5"] == ""
    assert "asis" not in shown
