"""Test results/: reading returns exactly what was written, and summaries match the measurements."""

import json

import numpy as np
import pandas as pd
import pytest

from fitgap.data.record import Record, Result, read_result
from fitgap.definitions.measurements import MOMENTS, name_at
from fitgap.pipeline import timings


def result(loss: float = 0.1 + 0.2) -> Result:
    rows = [{"seed": s, "test_accuracy": 0.9 + s / 100, "val_loss_best": loss, "epochs_to_best": 3} for s in (0, 1)]
    record = {"stage": "scratch", "variant": "dropout", "params": {"l1": 1e-4}, "inputs": {}, "seeds": rows}
    history = pd.DataFrame({"seed": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "val_loss": [1 / 3, loss, 2 / 3, np.nan]})
    return Result(Record(**record), history, np.full((2, 3, 4), 0.25, np.float32))


def test_round_trip_keeps_every_bit(tmp_path):
    written = result()
    written.write(tmp_path)
    read = read_result(tmp_path)
    assert read.record == written.record
    pd.testing.assert_frame_equal(read.history, written.history, check_exact=True)
    assert (read.test_probabilities == written.test_probabilities).all()
    assert read.fingerprint == written.fingerprint


MEASURED = ("gap", "accuracy_gap", "val_loss", "val_accuracy")


def trained() -> Result:
    """A model whose measurements and answers tell which moment they are of."""
    row = {f"{name}_{moment}": float(place) for place, moment in enumerate(MOMENTS) for name in MEASURED}
    for place, moment in enumerate(MOMENTS):
        row |= {name_at("test_accuracy", moment): float(place), name_at("test_loss", moment): float(place)}
    first, *others = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1).repeat(2, axis=1)
    record = Record("scratch", "l1", {}, {}, moments=list(MOMENTS), seeds=[{"seed": s, **row} for s in (0, 1)])
    return Result(record, None, first, np.stack(others))


def test_answers_at_every_moment_are_written_and_read(tmp_path):
    trained().write(tmp_path)
    read = read_result(tmp_path)
    assert np.load(tmp_path / "test_probabilities.npy").shape == (3, 2, 1, 1)
    np.testing.assert_array_equal(read.test_probabilities, trained().test_probabilities)
    np.testing.assert_array_equal(read.other_moments, trained().other_moments)


@pytest.mark.parametrize(("place", "moment"), enumerate(MOMENTS))
def test_a_result_at_a_moment_speaks_of_that_moment_throughout(place, moment):
    moved = trained().at(moment)
    assert (moved.test_probabilities == place).all()
    for name in ("test_accuracy", "test_loss", "gap_last", "gap_best", "accuracy_gap_last", "val_loss_best"):
        assert (moved.seeds[name] == place).all(), name


def test_a_result_without_moments_is_the_same_at_each():
    one = result()
    assert one.at("last") is one


def test_fingerprint_tells_measurements_apart():
    assert result(0.3).fingerprint == result(0.3).fingerprint
    assert result(0.3).fingerprint != result(np.nextafter(0.3, 1)).fingerprint


def test_metrics_are_means_and_spread_over_seeds(tmp_path):
    result().write(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["test_accuracy"] == pytest.approx(0.905)
    assert metrics["test_accuracy_sd"] == pytest.approx(0.01 / np.sqrt(2))


def test_one_seed_has_no_spread():
    one = result()
    del one.record.seeds[1:]
    assert one.metrics["test_accuracy_sd"] is None


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_diverged_training_is_written_and_read(tmp_path, loss):
    result(loss).write(tmp_path)
    assert "NaN" not in (tmp_path / "record.json").read_text()
    assert read_result(tmp_path).record.seeds[0]["val_loss_best"] is None


def test_times_are_found_again_by_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    timings.save(result(), {"stage_seconds": 10.0}, {0: 4.0, 1: 5.0}, images_per_second=100.0)
    assert timings.load(result())["seed_seconds"] == {"0": 4.0, "1": 5.0}
    assert timings.load(result(0.5)) is None
