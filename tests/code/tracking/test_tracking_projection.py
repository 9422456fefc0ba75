"""Test the projection of a result to the content of runs, without MLflow."""

import dataclasses
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tracking_samples as samples

from fitgap.tracking import projection


def points(run: projection.Run) -> dict:
    return {(name, step): value for name, value, step in run.points}


def test_a_measurement_and_a_curve_of_one_name_are_refused():
    result = samples.model()
    result.record.seeds[0]["val_loss"] = 0.5
    with pytest.raises(ValueError, match="val_loss"):
        projection.seed_runs(result, None)


def test_text_lists_and_truth_values_are_no_metrics():
    found = points(projection.parent_run(samples.single(classes=["a"], name="digits", ready=True, missing=None), None))
    assert found == {("images", 0): 1797.0}


def test_a_curve_ends_where_it_diverged():
    result = samples.model()
    history = result.history.copy()
    history.loc[(history["seed"] == 1) & (history["epoch"] > 2), "val_loss"] = np.nan
    diverged = dataclasses.replace(result, history=history)
    child = projection.seed_runs(diverged, None)[1]
    assert [step for name, _, step in child.points if name == "val_loss"] == [1, 2]
    assert [step for name, _, step in projection.parent_run(diverged, None).points if name == "val_loss"] == [1, 2]


def test_a_mean_over_some_seeds_only_is_not_given():
    result = samples.model()
    result.record.seeds[2]["gap_last"] = None
    assert ("gap_last", 0) not in points(projection.parent_run(result, None))


def test_a_history_without_seeds_runs_over_its_first_column():
    history = pd.DataFrame({"images_seen": [320, 640], "loss": [2.0, 1.0]})
    found = points(projection.parent_run(dataclasses.replace(samples.single("backbone"), history=history), None))
    assert found == {("images", 0): 1797.0, ("loss", 320): 2.0, ("loss", 640): 1.0}


def test_one_judged_network_has_no_children():
    judged = samples.single("asis")
    judged = replace(judged, record=replace(judged.record, seeds=[{"seed": 0, "test_accuracy": 0.4}]))
    assert projection.seed_runs(judged, None) == []
    assert points(projection.parent_run(judged, None))[("test_accuracy", 0)] == 0.4
