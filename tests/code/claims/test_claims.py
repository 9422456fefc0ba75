"""Test the claims: clear effects are supported, their opposites contradicted, and undecidable ones are reported."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from fitgap import claims
from fitgap.claims.claim import TOPICS, describe_claim, judge_claim
from fitgap.claims.learning_curve import find_crossing, lead
from fitgap.claims.overfitting import unsteadiness
from fitgap.claims.study import Study
from fitgap.claims.transfer import epochs_until, late_accuracy
from fitgap.data.record import Record, Result
from fitgap.inference.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NO_DIFFERENCE,
    NOT_APPLICABLE,
    SUPPORTED,
    VERDICTS,
)

PROMISED = {"id", "topic", "statement", "models", "statistic", "estimate", "ci_low", "ci_high", "n", "verdict", "rule"}
PROMISED |= {"margin", "win_rate", "win_rate_low", "win_rate_high"}
ALLOWED = 0.05  # rate of false verdicts
DATA = synthetic.prepared(images=1200)
WITHOUT_SEEDS = ("way1_names_source_classes_only",)  # only test images vary


@pytest.fixture(scope="module")
def study():
    return synthetic.study(data=DATA)


def by_id(study):
    """Judge all claims as stated."""
    declared = claims.declare(study.params)
    return {claim.id: describe_claim(claim, judge_claim(claim, study)) for claim in declared}


def test_claims_hold_what_is_promised(study):
    judged = claims.judge_all(study)
    assert len(judged) >= 12
    assert len({claim["id"] for claim in judged}) == len(judged)
    for claim in judged:
        assert claim.keys() >= PROMISED
        assert claim["verdict"] in VERDICTS
    assert json.dumps(judged, allow_nan=False) == json.dumps(claims.judge_all(study), allow_nan=False)


def test_claims_of_a_topic_stand_together_in_the_order_of_the_report(study):
    topics = [claim["topic"] for claim in claims.judge_all(study)]
    assert topics == sorted(topics, key=list(TOPICS).index)
    assert set(topics) == set(TOPICS)


def test_wide_margins_are_found(study):
    verdicts = {name: claim["verdict"] for name, claim in by_id(study).items()}
    expected = ["dropout_separates_least", "dropout_gap_below_baseline", "l2_smaller_weights", "way1_rarely_useful"]
    expected += [f"finetune_{depth}_beats_frozen" for depth in study.params.finetune.depths]
    expected += ["batchnorm_lowers_loss", "batchnorm_bears_higher_rate", "upper_layers_are_specific"]
    expected += ["borrowing_pays_with_few_labels"]
    assert {name: verdicts[name] for name in expected} == dict.fromkeys(expected, SUPPORTED)


def test_the_opposite_is_contradicted():
    swapped = {"dropout": synthetic.CHARACTERS["baseline"], "baseline": synthetic.CHARACTERS["dropout"]}
    found = by_id(synthetic.study(data=DATA, **swapped))
    assert found["dropout_separates_least"]["verdict"] == CONTRADICTED
    assert found["dropout_gap_below_baseline"]["verdict"] == CONTRADICTED
    assert found["batchnorm_lowers_loss"]["verdict"] == CONTRADICTED


def curves_of(*accuracies):
    rows = [(0, epoch, accuracy) for epoch, accuracy in enumerate(accuracies, start=1)]
    return pd.DataFrame(rows, columns=["seed", "epoch", "val_accuracy"])


@pytest.mark.parametrize(
    ("accuracies", "epoch"),
    [
        ((0.5, 0.7, 0.8, 0.8), 3),
        ((0.5, 0.9, 0.6, 0.8, 0.8), 4),  # one lucky epoch is not enough
        ((0.5, 0.9, 0.7, 0.8, 0.8), 2),
        ((0.5, 0.6, 0.6, 0.8), 4),  # the last epoch stands alone
        ((0.5, 0.6, 0.79, 0.7), np.inf),
    ],
)
def test_target_is_reached_by_two_epochs_together(accuracies, epoch):
    assert epochs_until(curves_of(*accuracies), pd.Series({0: 0.8}))[0] == epoch


def test_target_does_not_move_with_the_number_of_noisy_epochs():
    """Noise of 2 points around 90%: the maximum rises with more epochs, the late mean does not."""
    noise = np.random.default_rng(0).normal(0.9, 0.02, 400)
    assert noise.max() - noise[:20].max() > 0.01
    late = [late_accuracy(curves_of(*noise[:epochs]))[0] for epochs in (20, 400)]
    assert late == pytest.approx([0.9, 0.9], abs=0.01)


@pytest.mark.parametrize(("gap", "verdict"), [(0.3, SUPPORTED), (0.1, INCONCLUSIVE), (0.02, CONTRADICTED)])
def test_batch_normalisation_overfits_if_its_gap_is_relevant(study, gap, verdict):
    """Whatever gap the baseline has, and whether or not the best epoch is the last."""
    usual = study.results["scratch@batchnorm"]
    seeds = [row | {"gap_last": gap + noise} for row, noise in zip(usual.record.seeds, (-0.01, 0, 0.012), strict=True)]
    changed = replace(usual, record=replace(usual.record, seeds=seeds))
    found = by_id(Study.gather(study.params, [*study.results.values(), changed], DATA))
    assert found["batchnorm_still_overfits"]["verdict"] == verdict
    assert found["batchnorm_still_overfits"]["estimate"] == pytest.approx(gap - 0.1, abs=0.002)


def test_early_stopping_is_judged_by_the_answers_of_two_epochs(study):
    usual = study.results["scratch@baseline"]
    worse = usual.test_probabilities[:, :, ::-1]  # at the last epoch all answers are others
    peak, last = usual.other_moments
    for moments, verdict in (([peak, worse], SUPPORTED), ([peak, last], NO_DIFFERENCE)):
        changed = replace(usual, other_moments=np.stack(moments))
        found = Study.gather(study.params, [*study.results.values(), changed], DATA)
        found = next(claims.judge(one, found) for one in claims.declare(study.params) if one.id == "early_stopping")
        assert found["verdict"] == verdict
        assert [choice["id"] for choice in found["choices"]] == ["peak", "seeds"]
        assert {choice["verdict"] for choice in found["choices"]} == {verdict}


def test_both_sides_at_their_best_are_chosen_by_validation(study):
    claim = by_id(study)["best_borrower_beats_best_scratch"]
    chosen = study.contestants
    assert claim["compared"] == f"{chosen['borrowed']} - {chosen['scratch']}: test accuracy"
    losses = {name: study.seeds(name)["val_loss_best"].mean() for name in study.names("scratch")}
    assert chosen["scratch"] == min(losses, key=losses.get)
    alone = replace(study, results={name: study.results[name] for name in study.names("scratch")})
    assert by_id(alone)["best_borrower_beats_best_scratch"]["verdict"] == INCONCLUSIVE


@pytest.mark.parametrize(
    ("baseline", "batchnorm", "verdict"),
    [
        ((0.11, 2.3, 0.0), (0.3, 1.5, 0.3), CONTRADICTED),  # both fail
        ((0.92, 0.01, 0.3), (0.945, 0.01, 0.3), INCONCLUSIVE),  # both bear it
        ((0.92, 0.01, 0.3), (0.11, 2.3, 0.0), CONTRADICTED),  # the other way round
    ],
)
def test_a_higher_rate_that_does_not_part_them(monkeypatch, baseline, batchnorm, verdict):
    monkeypatch.setattr(synthetic, "AT_HIGH_RATE", {"baseline": baseline, "batchnorm": batchnorm})
    assert by_id(synthetic.study(data=DATA))["batchnorm_bears_higher_rate"]["verdict"] == verdict


def test_a_training_that_diverges_at_the_higher_rate_is_an_answer(study):
    diverged = study.results["highrate@baseline"]
    record = deepcopy(diverged.record)
    record.seeds[0] |= dict.fromkeys(["val_loss_last", "gap_last", "train_loss_last"])
    answers = diverged.test_probabilities.copy()
    answers[0] = np.nan
    replaced = replace(diverged, record=record, test_probabilities=answers)
    found = Study.gather(study.params, [*study.results.values(), replaced, study.probe], DATA)
    assert found.failed == ("highrate@baseline",)
    assert by_id(found)["batchnorm_bears_higher_rate"]["verdict"] == SUPPORTED


@pytest.mark.parametrize(
    ("blocks", "verdict"),
    [
        ((0.3, 0.4, 0.5, 0.6, 0.8), CONTRADICTED),  # the last block is of most use
        ((0.9, 0.9, 0.9, 0.9, 0.9), INCONCLUSIVE),
    ],
)
def test_probes_that_do_not_fall_towards_the_output(monkeypatch, blocks, verdict):
    monkeypatch.setattr(synthetic, "PROBES", blocks)
    assert by_id(synthetic.study(data=DATA))["upper_layers_are_specific"]["verdict"] == verdict


def test_a_remedy_that_wins_everywhere_is_seen():
    champion = synthetic.study(data=DATA, seeds=range(5), dropout=(0.999, 0.01, 0.0), l1=(0.7, 0.01, 0.9))
    assert by_id(champion)["no_remedy_wins_everywhere"]["verdict"] == CONTRADICTED
    divided = synthetic.study(data=DATA, seeds=range(5), dropout=(0.7, 0.3, 0.0), batchnorm=(0.97, 0.001, 2.0))
    # dropout: smallest gap, least accurate; batchnorm the other way round; all others in between
    assert by_id(divided)["no_remedy_wins_everywhere"]["verdict"] == SUPPORTED


def test_intervals_agree_with_verdicts(study):
    for claim in claims.judge_all(study):
        if claim["ci_low"] is None:
            continue
        side = -1 if claim["direction"] == "below" else 1
        low, high = sorted(side * claim[end] for end in ("ci_low", "ci_high"))
        holds = {SUPPORTED: low > 0, CONTRADICTED: high < 0, INCONCLUSIVE: low <= 0 <= high}
        margin = claim["margin"]
        holds[NO_DIFFERENCE] = margin is not None and -margin < low and high < margin
        assert holds[claim["verdict"]]


def test_models_alike_in_every_seed_have_no_relevant_difference(study):
    """The same numbers but for a thousandth of a nat and a few test images."""
    twin, random = study.results["scratch@baseline"], np.random.default_rng(0)
    seeds = [row | {"gap_last": row["gap_last"] + 0.001 * random.normal()} for row in twin.record.seeds]
    answers = twin.test_probabilities.copy()
    answers[:, :3] = answers[:, :3, ::-1]
    changed = replace(twin, record=replace(twin.record, variant="dropout", seeds=seeds), test_probabilities=answers)
    found = by_id(Study.gather(study.params, [*study.results.values(), changed], DATA))
    for name, margin in (("dropout_gap_below_baseline", 0.1), ("dropout_improves_accuracy", 0.02)):
        assert found[name]["verdict"] == NO_DIFFERENCE
        assert found[name]["margin"] == margin
        assert -margin < found[name]["ci_low"] < found[name]["ci_high"] < margin
        assert found[name]["confidence"] == pytest.approx(0.9)


def test_too_few_seeds_never_guess():
    for seeds in ([7], [7, 8]):
        found = by_id(synthetic.study(data=DATA, seeds=seeds))
        verdicts = {claim["verdict"] for name, claim in found.items() if name not in WITHOUT_SEEDS}
        assert verdicts == {INCONCLUSIVE}


def test_without_weights_nothing_is_said_of_transfer():
    found = claims.judge_all(synthetic.study(synthetic.params(**{"backbone.weights": "none"})))
    own = ("scratch", "highrate")
    of_transfer = [claim for claim in found if any(model.split("@")[0] not in own for model in claim["models"])]
    assert len(of_transfer) == 10
    assert {claim["verdict"] for claim in of_transfer} == {NOT_APPLICABLE}
    assert all("none" in claim["note"] for claim in of_transfer)


def test_way_1_that_knows_no_target_class(study):
    asis = study.results["asis"]
    measured = {**asis.record.measured, "coverage": 0.0, "known_classes": 0, "accuracy_known_classes": None}
    record = replace(asis.record, measured={**measured, "accuracy_all_classes": 0.0})
    found = by_id(Study.gather(study.params, [*study.results.values(), replace(asis, record=record)], DATA))
    assert found["way1_names_source_classes_only"]["verdict"] == SUPPORTED
    assert found["way1_names_source_classes_only"]["estimate"] == 1


def test_a_deleted_variant_leaves_not_applicable_and_no_trace_in_the_others():
    settings = synthetic.params()
    variants = {name: variant.model_dump() for name, variant in settings.variants.items() if name != "dropout"}
    whole = synthetic.study(data=DATA)
    study = Study.gather(synthetic.params(variants=variants), list(whole.results.values()), DATA)
    found = by_id(study)
    assert found["dropout_improves_accuracy"]["verdict"] == NOT_APPLICABLE
    assert "dropout" in found["dropout_improves_accuracy"]["note"]
    others = [json.dumps(claim) for name, claim in found.items() if not name.startswith("dropout")]
    assert not any("dropout" in text for text in others)


def test_a_variant_with_other_remedies_cannot_stand_for_the_statement():
    found = by_id(synthetic.study(synthetic.params(**{"variants.dropout": {"l2": 0.1}}), DATA))
    assert found["dropout_improves_accuracy"]["verdict"] == NOT_APPLICABLE
    assert "remedies" in found["dropout_improves_accuracy"]["note"]


def catching_up(monkeypatch, *accuracies: float) -> Study:
    """Return a study where borrowing has these accuracies with 20, 100, 400 images; from scratch 50, 70 and 90%."""
    monkeypatch.setattr(synthetic, "KNOTS", (20, 100, 400))
    monkeypatch.setattr(synthetic, "BY_SIZE", {"scratch": (0.5, 0.7, 0.9), "borrowed": accuracies})
    settings = synthetic.params(**{"learning_curve.sizes": [20, 50, 100, 200, 400], "data.train_images": 300})
    whole = synthetic.study(settings, DATA)
    return replace(whole, results={})  # without the models at the usual size: the points of the curve alone


def test_crossing_is_found_where_the_curves_cross(monkeypatch):
    study = catching_up(monkeypatch, 0.7, 0.7, 0.7)
    found = find_crossing(lead(study))
    assert found.low < 100 < found.high
    assert found.size == pytest.approx(100, rel=0.15)
    assert 20 < found.low < found.size < found.high < 400
    claim = by_id(study)["borrowing_pays_with_few_labels"]
    assert claim["verdict"] == SUPPORTED
    words = f"catches up at about {found.size:.0f} training images ({found.size / 10:.0f} a class; 95% interval "
    assert f"{words}from {found.low:.0f} to {found.high:.0f})" in claim["note"]


@pytest.mark.parametrize(
    ("accuracies", "ends", "verdict", "words"),
    [
        ((0.3, 0.5, 0.7), (None, None), CONTRADICTED, "is not clearly behind even with 20 training images"),
        (
            (0.5, 0.5, 0.5),
            (None, 30),
            INCONCLUSIVE,
            "is not clearly behind even with 20 training images (95% interval: up",
        ),
        (
            (0.9, 0.9, 0.9),
            (400, None),
            SUPPORTED,
            "does not clearly catch up within 400 training images (95% interval: from",
        ),
        ((0.95, 0.97, 0.99), (None, None), SUPPORTED, "does not catch up within 400 training images"),
    ],
)
def test_catching_up_outside_the_sizes_measured_has_no_number(monkeypatch, accuracies, ends, verdict, words):
    study = catching_up(monkeypatch, *accuracies)
    found, claim = find_crossing(lead(study)), by_id(study)["borrowing_pays_with_few_labels"]
    assert (found.low is None, found.high is None) == tuple(end is None for end in ends)
    assert claim["verdict"] == verdict and words in claim["note"] and "about" not in claim["note"]


def test_learning_curve_of_one_size_leaves_its_claim_unasked(study):
    found = by_id(synthetic.study(synthetic.params(**{"learning_curve.sizes": []}), DATA))
    assert found["borrowing_pays_with_few_labels"]["verdict"] == NOT_APPLICABLE
    without = by_id(replace(study, curve={}))["borrowing_pays_with_few_labels"]
    assert without["verdict"] == INCONCLUSIVE
    assert "at least two sizes" in without["note"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_diverged_model_counts_as_failed(study, value):
    diverged = study.results["scratch@l1"]
    record = deepcopy(diverged.record)
    record.seeds[1] |= dict.fromkeys(["val_loss_last", "gap_last", "train_loss_last"], value)
    history = diverged.history.copy()
    history.loc[history["seed"] == 1, ["train_loss", "val_loss"]] = np.inf
    results = [*study.results.values(), replace(diverged, record=record, history=history)]
    found = Study.gather(study.params, results, DATA)
    assert found.failed == ("scratch@l1",)
    judged = by_id(found)
    assert judged["l1_smaller_weights"]["verdict"] == INCONCLUSIVE
    assert "diverged" in judged["l1_smaller_weights"]["note"]
    assert "scratch@l1" in judged["dropout_separates_least"]["note"]
    assert judged["dropout_separates_least"]["verdict"] == SUPPORTED


def test_missing_results_are_named(study):
    partial = Study.gather(study.params, [r for n, r in study.results.items() if n != "scratch@baseline"], DATA)
    found = by_id(partial)
    assert partial.missing == ["scratch@baseline"]
    assert found["dropout_improves_accuracy"]["verdict"] == NOT_APPLICABLE
    assert "scratch@baseline" in found["dropout_improves_accuracy"]["note"]


def test_unsteadiness_sees_the_zigzag_and_not_the_slope():
    epochs = np.arange(1, 401)
    noise = np.random.default_rng(0).normal(scale=0.1, size=400)
    curve = pd.DataFrame({"seed": 0, "epoch": epochs, "val_loss": 3 - 0.05 * epochs})
    assert unsteadiness(curve)[0] == pytest.approx(0, abs=1e-9)
    curve["val_loss"] += noise
    assert unsteadiness(curve)[0] == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("experiments", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_false_supported_of_whole_claims(experiments, capsys):
    """All models drawn alike: what claims a difference is false by construction, and at the boundary."""
    random = np.random.default_rng(6)
    settings, data = synthetic.params(), synthetic.prepared(images=120)
    asked = ["dropout_separates_least", "dropout_gap_below_baseline", "dropout_improves_accuracy"]
    asked += ["batchnorm_highest_performance", "batchnorm_lowers_loss", "l2_smaller_weights"]
    declared = [claim for claim in claims.declare(settings) if claim.id in asked]
    supported = dict.fromkeys(asked, 0)
    for _ in range(experiments):
        models = [_alike(random, name, data) for name in ("baseline", "dropout", "batchnorm", "l2")]
        study = Study.gather(settings, models, data)
        for claim in declared:
            supported[claim.id] += judge_claim(claim, study).verdict == SUPPORTED
    with capsys.disabled():
        rates = ", ".join(f"{name} {count / experiments:.1%}" for name, count in supported.items())
        print(f"\n  false 'supported' in {experiments} studies of 3 seeds, all models alike: {rates}")
    chance = 2 * (ALLOWED * (1 - ALLOWED) / experiments) ** 0.5  # two standard errors of a rate measured here
    assert max(supported.values()) <= (ALLOWED + chance) * experiments


def _alike(random, variant, data):
    """Return a result that differs from others by chance only: both seeds and predictions vary."""
    labels = data.part("test")[1]
    ability = 1.5 + random.normal(0, 0.2, (3, 1)) + random.normal(0, 1, len(labels))
    right = random.random((3, len(labels))) < 1 / (1 + np.exp(-ability))
    answers = np.where(right, labels, (labels + 1) % 10)
    names = ("train_loss_last", "val_loss_best", "val_loss_last", "gap_last", "weight_norm_last")
    seeds = [{"seed": seed, **dict(zip(names, random.normal(size=5), strict=True))} for seed in range(3)]
    record = Record("scratch", variant, {}, {}, seeds=seeds, classes=data.class_names)
    return Result(record, None, np.eye(10, dtype=np.float32)[answers])
