"""Test what a verdict depends on: choices change what they say they change, and the rule says which turn a verdict."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from fitgap import claims
from fitgap.claims.choices import CHOICES
from fitgap.claims.robustness import in_words, turns
from fitgap.claims.study import Study
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, NOT_APPLICABLE, SUPPORTED

DATA = synthetic.prepared(images=1200)
BY_ID = {choice.id: choice for choice in CHOICES}
IMPROVES, APART = "dropout_improves_accuracy", "dropout_gap_below_baseline"


@pytest.fixture(scope="module")
def study():
    return synthetic.study(data=DATA, seeds=range(6))


def changed(study: Study, *results) -> Study:
    return Study.gather(study.params, [*study.results.values(), *results, study.probe], DATA)


def judge(study: Study, name: str) -> dict:
    return next(claims.judge(claim, study) for claim in claims.declare(study.params) if claim.id == name)


def verdicts(claim: dict) -> dict[str, str]:
    return {entry["id"]: entry["verdict"] for entry in claim["choices"]}


def test_each_claim_names_choices_that_there_are(study):
    assert len(BY_ID) == len(CHOICES)
    for claim in claims.declare(study.params):
        assert set(claim.choices) <= set(BY_ID) and len(set(claim.choices)) == len(claim.choices)
        assert claim.moved or not {"weaker", "stronger"} & set(claim.choices)


def test_choices_that_change_nothing_leave_a_robust_verdict(study):
    claim = judge(study, IMPROVES)
    assert claim["verdict"] == SUPPORTED and claim["robust"] is True and claim["turns"] == ""
    assert verdicts(claim) == dict.fromkeys(("best", "peak", "last", "seeds"), SUPPORTED)
    stated = {key: claim[key] for key in ("estimate", "ci_low", "ci_high", "n")}
    assert {key: claim["choices"][0][key] for key in stated} == stated


def test_accuracy_at_the_last_epoch_can_turn_a_verdict(study):
    """The baseline goes on learning after the epoch of its lowest validation loss, dropout does not."""
    baseline, labels = study.results["scratch@baseline"], DATA.part("test")[1]
    perfect = np.tile(np.eye(10, dtype=np.float32)[labels], (6, 1, 1))
    late = replace(baseline, other_moments=np.stack([baseline.other_moments[0], perfect]))
    claim = judge(changed(study, late), IMPROVES)
    assert claim["verdict"] == SUPPORTED
    assert verdicts(claim) == {"best": SUPPORTED, "peak": SUPPORTED, "last": CONTRADICTED, "seeds": SUPPORTED}
    assert claim["robust"] is False and claim["turns"] == "turns to contradicted at the last epoch"


def test_gap_in_accuracy_can_turn_what_the_gap_in_nats_says(study):
    dropout = study.results["scratch@dropout"]
    seeds = [row | {"accuracy_gap_last": 0.5 + 0.001 * row["seed"]} for row in dropout.record.seeds]
    claim = judge(changed(study, replace(dropout, record=replace(dropout.record, seeds=seeds))), APART)
    assert claim["verdict"] == SUPPORTED and verdicts(claim)["accuracy_gap"] == CONTRADICTED
    assert claim["turns"] == "turns to contradicted with the gap in accuracy"


def test_intervals_over_repetitions_alone_are_narrower_around_the_same_estimate(study):
    claim = judge(study, IMPROVES)
    alone = next(entry for entry in claim["choices"] if entry["id"] == "seeds")
    assert alone["estimate"] == claim["estimate"]
    assert claim["ci_low"] < alone["ci_low"] < alone["ci_high"] < claim["ci_high"]
    assert "seeds" not in verdicts(judge(study, APART))  # its interval never allowed for images


def test_claims_on_the_target_are_judged_by_other_targets(study):
    assert set(verdicts(judge(study, "transfer_is_quick"))) == {"target_90", "target_100"}


def test_without_models_or_choices_nothing_is_said(study):
    absent = judge(synthetic.study(synthetic.params(**{"variants.dropout": {"l2": 0.1}}), DATA), IMPROVES)
    assert absent["verdict"] == NOT_APPLICABLE
    for claim in (absent, judge(study, "l1_steadier")):
        assert (claim["choices"], claim["robust"], claim["turns"]) == ([], None, "")


def tried(result, accuracies: list[float], draws: int, chosen: int):
    """Return a result with one trial for each accuracy, from weak to strong, over draws with noise of their own."""
    noise = np.random.default_rng(0).normal(0, 0.002, (len(accuracies), draws))
    rows = [
        {
            "trial": 10 - rank,  # in another order than the ranks
            "draw": 100 + draw,
            "rank": rank,
            "pooling": "flatten",  # a candidate that is no number
            "val_accuracy_best": accuracy + noise[rank, draw],
            "val_loss_best": 1 - accuracy,
            "val_accuracy_last": accuracy + noise[rank, draw],
            "val_loss_last": 1 - accuracy + noise[rank, draw],
            "train_loss_last": 0.0,
            "train_accuracy_last": 1.0,
            "epochs_to_best": 5,
        }
        for rank, accuracy in enumerate(accuracies)
        for draw in range(draws)
    ]
    return replace(result, record=replace(result.record, chosen_trial=10 - chosen), trials=pd.DataFrame(rows))


def tuned(study: Study, dropout: list[float], draws: int = 4, chosen: int = 1) -> Study:
    baseline = tried(study.results["scratch@baseline"], [0.5, 0.9, 0.5], draws, 1)
    return changed(study, baseline, tried(study.results["scratch@dropout"], dropout, draws, chosen))


def test_a_neighbouring_strength_moves_the_model_of_the_statement_only(study):
    claim = judge(tuned(study, [0.8, 0.95, 0.97]), IMPROVES)
    weaker, stronger = claim["choices"][-2:]
    assert (weaker["id"], weaker["verdict"], weaker["n"]) == ("weaker", CONTRADICTED, 4)
    assert weaker["estimate"] == pytest.approx(0.8 - 0.9, abs=0.005)
    assert (stronger["id"], stronger["verdict"]) == ("stronger", SUPPORTED)
    assert stronger["estimate"] == pytest.approx(0.97 - 0.9, abs=0.005)
    assert claim["turns"] == "turns to contradicted at the next weaker strength"
    gap = judge(tuned(study, [0.8, 0.95, 0.97]), APART)
    assert verdicts(gap)["weaker"] == CONTRADICTED and verdicts(gap)["stronger"] == SUPPORTED


def test_too_few_draws_do_not_turn_a_verdict(study):
    claim = judge(tuned(study, [0.8, 0.95, 0.97], draws=2), IMPROVES)
    assert verdicts(claim)["weaker"] == INCONCLUSIVE and claim["robust"] is True


def test_a_strength_at_the_edge_has_one_neighbour(study):
    assert "weaker" not in verdicts(judge(tuned(study, [0.8, 0.95, 0.97], chosen=0), IMPROVES))
    assert "stronger" not in verdicts(judge(tuned(study, [0.8, 0.95, 0.97], chosen=2), IMPROVES))


def test_strengths_apply_only_if_every_model_has_trials(study):
    alone = changed(study, tried(study.results["scratch@dropout"], [0.8, 0.95, 0.97], 4, 1))
    assert not {"weaker", "stronger"} & set(verdicts(judge(alone, IMPROVES)))
    pair = tuned(study, [0.8, 0.95, 0.97])
    assert "weaker" not in verdicts(judge(pair, "dropout_separates_least"))  # its other rivals have none
    everyone = [tried(study.results[name], [0.5, 0.9, 0.5], 4, 1) for name in study.names("scratch")]
    tuned_all = changed(study, *everyone, pair.results["scratch@dropout"])
    assert verdicts(judge(tuned_all, "dropout_separates_least"))["weaker"] == CONTRADICTED


@pytest.mark.parametrize(
    ("choice", "verdict", "stated", "expected"),
    [
        ("last", SUPPORTED, SUPPORTED, False),
        ("last", INCONCLUSIVE, SUPPORTED, True),
        ("last", SUPPORTED, INCONCLUSIVE, True),
        ("weaker", INCONCLUSIVE, SUPPORTED, False),  # fewer draws
        ("weaker", NO_DIFFERENCE, SUPPORTED, True),
        ("stronger", CONTRADICTED, INCONCLUSIVE, True),
    ],
)
def test_rule_of_what_turns_a_verdict(choice, verdict, stated, expected):
    assert turns(BY_ID[choice], verdict, stated) is expected


def test_turns_are_named_by_verdict():
    assert in_words([]) == ""
    pairs = [(CONTRADICTED, "at the last epoch"), (INCONCLUSIVE, "so"), (CONTRADICTED, "for 90%")]
    assert in_words(pairs) == "turns to contradicted at the last epoch and for 90%, to inconclusive so"
