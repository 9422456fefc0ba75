"""Test the run that shows a training while it lasts."""

from contextlib import closing

import pytest
import tracking_samples as samples
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fitgap.tracking import live, runs
from fitgap.tracking.live import LiveRun

ROW = {"train_loss": 0.5, "val_loss": 0.75, "train_accuracy": 0.9, "val_accuracy": 0.8, "objective": 1.0, "seed": 3}


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture
def at_once(monkeypatch):
    """Show each epoch as soon as it ends."""
    for name in ("AFTER", "EVERY"):
        monkeypatch.setattr(live, name, 0.0)
    monkeypatch.setattr(live, "SHARE", 1e9)


def curve(metric: str) -> dict[int, float]:
    (run,) = samples.active_runs()
    return samples.curve(run.info.run_id, metric)


def test_epochs_of_all_repetitions_appear_while_it_trains(at_once):
    with closing(LiveRun("scratch@dropout")) as shown:
        shown.add_epoch(ROW)
        shown.add_epoch({**ROW, "seed": 4, "val_loss": float("nan")})
        (run,) = samples.active_runs()
        assert (run.info.status, run.info.run_name) == ("RUNNING", "scratch@dropout in training")
        assert {run.data.tags[name] for name in ("stage", "variant")} == {"scratch", "dropout"}
        assert curve("seed") == {1: 3, 2: 4} and curve("gap") == {1: 0.25}
        assert curve("train_loss") == {1: 0.5, 2: 0.5}


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_nothing_of_it_stays_however_the_stage_ends(at_once, error):
    with pytest.raises(error) if error else closing(LiveRun("head@l2")), closing(LiveRun("scratch@dropout")) as shown:
        shown.add_epoch(ROW)
        assert len(samples.active_runs()) == 1
        if error:
            raise error
    assert samples.active_runs() == []


def test_short_training_has_no_run():
    with closing(LiveRun("scratch@dropout")) as shown:
        for _ in range(100):
            shown.add_epoch(ROW)
        assert samples.active_runs() == []


def test_many_epochs_go_in_few_messages_and_none_is_lost(at_once, monkeypatch):
    monkeypatch.setattr(live, "SHARE", 1e-9)
    with closing(LiveRun("scratch@dropout")) as shown:
        for _ in range(500):
            shown.add_epoch(ROW)
        assert list(curve("val_loss")) == [1]  # the second message waits for its share of time
        shown._next = 0.0
        shown.add_epoch(ROW)
        assert sorted(curve("val_loss")) == list(range(1, 502))


def test_failing_store_costs_no_epoch_and_no_run_at_the_end(at_once, monkeypatch, capsys):
    def fail(*_, **__):
        raise MlflowException("away")

    with closing(LiveRun("scratch@dropout")) as shown:
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_batch", fail)
            shown.add_epoch(ROW)
        shown.add_epoch(ROW)
        assert len(curve("train_loss")) == 2
    assert runs.log_result(samples.model("dropout")) is not None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("end", [lambda: live.LiveRun("scratch@dropout").add_epoch(ROW), None])
def test_what_a_killed_training_left_is_replaced(at_once, end):
    live.LiveRun("scratch@dropout").add_epoch(ROW)
    end() if end else runs.log_result(samples.model("dropout"))
    names = [run.info.run_name for run in samples.active_runs() if run.info.status == "RUNNING"]
    assert names == (["scratch@dropout in training"] if end else [])
