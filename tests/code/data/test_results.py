"""Test the one rule for the best model, and the choice of the two that are compared."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fitgap.data.record import Record, Result
from fitgap.data.results import best, declared_models, has_diverged
from fitgap.params.reading import load_params
from stages import choice


def model(name: str, losses: list[float], **columns: list[float]) -> Result:
    """A model with one seed per validation loss; all are equally accurate."""
    family, _, variant = name.partition("@")
    measured = {"val_loss_best": losses, "val_accuracy_best": 0.9, "test_accuracy": 0.5, **columns}
    seeds = pd.DataFrame({"seed": range(len(losses)), **measured})
    record = Record(family, variant, {}, {}, seeds=seeds.to_dict("records"))
    return Result(record, pd.DataFrame({"seed": [0], "epoch": [1]}), np.full((len(losses), 4, 2), 0.5, np.float32))


def test_the_highest_mean_validation_accuracy_wins_whatever_the_loss():
    unsure = model("scratch@smoothed", [0.5, 0.6], val_accuracy_best=[0.90, 0.96])
    assert best([model("scratch@a", [0.1, 0.2], val_accuracy_best=[0.93, 0.92]), unsure]) is unsure


def test_of_equally_accurate_models_the_lowest_mean_validation_loss_wins_and_the_first_of_equals():
    models = [model("scratch@a", [0.5, 0.4]), model("head@b", [0.25, 0.5]), model("finetune@block5", [0.375, 0.375])]
    assert best(models).name == "head@b"
    assert best(reversed(models)).name == "finetune@block5"
    assert best([]) is None


def test_a_model_with_a_diverged_seed_is_not_the_best():
    """The mean over its other seeds would be the lowest: pandas leaves NaN out."""
    diverged = model("scratch@a", [0.1, np.nan])
    assert has_diverged(diverged)
    assert best([diverged, model("scratch@b", [0.4, 0.4])]).name == "scratch@b"
    assert best([diverged]) is None


@pytest.mark.parametrize("column", ["train_loss_last", "val_loss_last"])
def test_an_infinite_loss_at_the_end_counts_as_diverged(column):
    assert has_diverged(model("scratch@a", [0.1, 0.1], **{column: [0.2, np.inf]}))


def test_models_that_only_test_a_statement_are_never_the_best():
    assert best([model("highrate@a", [0.1]), model("scratch@a", [0.4])]).name == "scratch@a"


def contestants(**losses: float) -> dict[str, Result]:
    """Models with the settings that a choice needs; the losses of some may be others."""
    named = {"scratch@a": 0.4, "scratch@b": np.nan, "head@a": 0.3, "finetune@block5": 0.2, **losses}
    models = (model(name, [0.3, loss]) for name, loss in named.items())
    return {own.name: replace(own, record=replace(own.record, params={"head": "a", "epochs": 3})) for own in models}


def test_choice_has_the_settings_of_the_best_of_both_and_nothing_measured():
    chosen = choice.choose(contestants()).record
    assert chosen.params == {"scratch": "scratch@a", "borrowed": "finetune@block5"} and not chosen.not_applicable
    names = {way: [Record(**record).name for record in records] for way, records in chosen.contestants.items()}
    assert names == {"scratch": ["scratch@a"], "borrowed": ["head@a", "finetune@block5"]}
    assert chosen.contestants["borrowed"][1]["params"]["epochs"] == 3
    assert choice.choose(contestants(**{"scratch@a": 0.35, "finetune@block5": 0.25})).record == chosen
    assert choice.choose(contestants(**{"head@a": 0.15})).record.params["borrowed"] == "head@a"


def test_choice_says_why_there_is_none():
    results = contestants()
    assert "random network" in choice.choose(results, choice.NOTHING_BORROWED).record.not_applicable
    del results["scratch@a"]
    chosen = choice.choose(results).record
    assert chosen.not_applicable == "no model of the way 'scratch' has finite losses" and "borrowed" in chosen.params


def test_declared_models_have_no_variants_without_a_model(repository):
    params = load_params(repository / "params.yaml")
    declared = declared_models(params)
    assert declared[0] == "scratch@baseline"
    assert declared[-1] == "asis"
    assert not set(declared) & set(params.without_model)
