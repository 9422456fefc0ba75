"""Test the projection of a result to the content of runs, without MLflow."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import tracking_samples as samples

from fitgap.data.record import Result
from fitgap.tracking import projection

TIMES = {
    "stage_seconds": 60.0,
    "seed_seconds": {"0": 10.0, "1": 20.0, "2": 24.0},
    "rates": {"images_per_second": 1500.0},
    "processors": {"A": 2, "B": 1},
}


def points(run: projection.Run) -> dict:
    return {(name, step): value for name, value, step in run.points}


def finals(run: projection.Run) -> dict:
    return {name: value for (name, step), value in points(run).items() if step == 0}


def test_parent_has_means_deviations_and_counts_under_the_names_of_the_children():
    parent, children = projection.parent_run(samples.model(), None), projection.seed_runs(samples.model(), None)
    measured = finals(parent)
    assert measured["test_accuracy"] == pytest.approx(0.91) and measured["test_accuracy_sd"] == pytest.approx(0.01)
    assert measured["seeds"] == 3
    assert [measured[f"params_{kind}"] for kind in ("total", "trainable", "frozen")] == [100, 90, 10]
    assert parent.tags["best_seed"] == "0" and "seed" not in parent.tags
    assert [child.tags["seed"] for child in children] == ["0", "1", "2"]
    assert [finals(child)["test_accuracy"] for child in children] == pytest.approx([0.9, 0.91, 0.92])
    assert all(set(finals(child)) < set(measured) for child in children)


def test_means_have_no_more_digits_than_a_table_shows():
    measured = finals(projection.parent_run(samples.model(seeds=(0, 1, 3)), None))
    assert measured["test_accuracy"] == 0.913333


def test_runs_have_the_gap_of_every_epoch():
    assert points(projection.seed_runs(samples.model(), None)[1])["gap", 2] == pytest.approx(1 / 2 + 1 - 0.5 / 2)


def test_learning_curve_has_one_name_for_a_metric_with_the_size_as_its_step():
    history = pd.DataFrame({"train_images": 50, "seed": [0, 1], "scratch_test_loss": [0.1, 0.3]})
    record = dataclasses.replace(
        samples.single("learning_curve").record, measured={"test_loss_scratch": 0.2, "other": 1}
    )
    assert points(projection.parent_run(Result(record, history), None)) == {
        ("test_loss_scratch", 50): 0.2,
        ("other", 0): 1,
    }


def test_one_seed_has_no_deviation():
    measured = finals(projection.parent_run(samples.model(seeds=(5,)), None))
    assert measured["seeds"] == 1 and "test_accuracy_sd" not in measured


def test_curves_have_epochs_as_steps():
    runs = [projection.parent_run(samples.model(), None), *projection.seed_runs(samples.model(), None)]
    for run, offset in zip(runs, (1, 0, 1, 2), strict=True):
        curve = {step: value for (name, step), value in points(run).items() if name == "val_loss"}
        assert curve == {epoch: pytest.approx(1 / epoch + offset) for epoch in (1, 2, 3, 4)}


def test_wall_times_become_metrics_and_durations():
    parent, children = projection.parent_run(samples.model(), TIMES), projection.seed_runs(samples.model(), TIMES)
    expected = {"stage_seconds": 60.0, "seconds": 18.0, "images_per_second": 1500.0}
    assert {name: finals(parent)[name] for name in expected} == expected
    assert parent.seconds == 60.0 and parent.tags["processors"] == "A; B"
    assert [child.seconds for child in children] == [10.0, 20.0, 24.0]


def test_text_lists_and_truth_values_are_no_metrics():
    result = samples.single(classes=["a"], name="digits", ready=True, missing=None)
    assert points(projection.parent_run(result, None)) == {("images", 0): 1797.0}


def test_curve_ends_where_it_diverged():
    result = samples.model()
    history = result.history.copy()
    history.loc[(history["seed"] == 1) & (history["epoch"] > 2), "val_loss"] = np.nan
    diverged = dataclasses.replace(result, history=history)
    for run in (projection.seed_runs(diverged, None)[1], projection.parent_run(diverged, None)):
        assert [step for name, _, step in run.points if name == "val_loss"] == [1, 2]


def test_mean_over_some_of_the_seeds_is_left_out():
    result = samples.model()
    result.record.seeds[2]["gap_last"] = None
    assert ("gap_last", 0) not in points(projection.parent_run(result, None))


def test_history_without_seeds_has_its_first_column_as_steps():
    history = pd.DataFrame({"images_seen": [320, 640], "loss": [2.0, 1.0]})
    run = projection.parent_run(dataclasses.replace(samples.single("backbone"), history=history), None)
    assert points(run) == {("images", 0): 1797.0, ("loss", 320): 2.0, ("loss", 640): 1.0}


def test_one_judged_network_has_no_children():
    judged = samples.single("asis")
    judged = dataclasses.replace(
        judged, record=dataclasses.replace(judged.record, seeds=[{"seed": 0, "test_accuracy": 0.4}])
    )
    assert projection.seed_runs(judged, None) == []
    assert finals(projection.parent_run(judged, None))["test_accuracy"] == 0.4
