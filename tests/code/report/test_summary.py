"""Test the summary: one row per model, empty cells for missing values, lossless as CSV."""

import io
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from fitgap.claims.study import Study
from fitgap.report.tables import summary_table

PROMISED = (
    "model family variant test_accuracy_mean test_accuracy_sd val_loss_best_mean gap_last_mean gap_best_mean "
    "epochs_to_best_mean params_total params_trainable params_frozen seconds_mean seeds"
).split()


@pytest.fixture(scope="module")
def study():
    return synthetic.study()


def test_one_row_per_model_in_the_order_of_params(study):
    table = summary_table(study)
    assert table["family"].value_counts().to_dict() == {
        "scratch": 9,
        "highrate": 2,
        "head": 8,
        "finetune": 2,
        "asis": 1,
    }
    assert table["variant"].head(9).tolist() == list(study.params.variants)
    assert not set(PROMISED) - set(table)


def test_means_and_spreads_are_over_seeds(study):
    row = summary_table(study).set_index("model").loc["scratch@dropout"]
    seeds = study.results["scratch@dropout"].seeds
    assert row["test_accuracy_mean"] == pytest.approx(seeds["test_accuracy"].mean())
    assert row["gap_last_sd"] == pytest.approx(np.std(seeds["gap_last"], ddof=1))
    assert row["test_accuracy_ci_low"] < row["test_accuracy_mean"] < row["test_accuracy_ci_high"]


def test_csv_reads_back_with_whole_numbers(study):
    text = summary_table(study).to_csv(index=False)
    back = pd.read_csv(io.StringIO(text))
    assert back["params_total"].dtype == np.int64
    assert back["seeds"].tolist() == [3] * 21 + [1]


def test_way_1_without_a_classifier_has_an_empty_row():
    table = summary_table(synthetic.study(synthetic.params(**{"backbone.weights": "none"})))
    row = table.set_index("model").loc["asis"]
    assert row.drop(["family", "variant", "images_per_second", "seeds", "failed"]).isna().all()
    assert row["seeds"] == 0


def test_a_diverged_model_has_no_flattering_mean(study):
    record = deepcopy(study.results["scratch@l2"].record)
    record.seeds[0]["val_loss_best"] = None
    results = [*study.results.values(), replace(study.results["scratch@l2"], record=record)]
    row = summary_table(Study.gather(study.params, results, study.prepared)).set_index("model").loc["scratch@l2"]
    assert row["failed"]
    assert pd.isna(row["val_loss_best_mean"])
    assert pd.isna(row["test_accuracy_ci_low"])
