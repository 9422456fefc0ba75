"""Test the run that shows a training while it lasts."""

import pytest
import tracking_samples as samples

from fitgap.tracking import live, runs
from fitgap.tracking.live import open_live_run

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
    monkeypatch.setattr(live, "LIMIT", 30.0)  # the first message creates the database


@pytest.fixture
def requests(monkeypatch) -> list:
    """What was logged, in order."""
    from mlflow import MlflowClient

    real, found = MlflowClient.log_batch, []

    def log_batch(self, run_id, metrics=(), *args, **kwargs):
        found.append(len(metrics))
        return real(self, run_id, metrics, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    return found


def history(run, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in samples.client().get_metric_history(run.info.run_id, metric)]


def test_epochs_of_all_repetitions_appear_while_it_trains(at_once):
    with open_live_run("scratch@dropout") as shown:
        shown.add_epoch(ROW)
        shown.add_epoch({**ROW, "seed": 4, "val_loss": float("nan")})
        (run,) = samples.active_runs()
        assert (run.info.status, run.info.run_name) == ("RUNNING", "scratch@dropout in training")
        assert {run.data.tags[name] for name in ("stage", "variant")} == {"scratch", "dropout"}
        assert history(run, "seed") == [(1, 3), (2, 4)]
        assert history(run, "gap") == [(1, 0.25)]
        assert history(run, "train_loss") == [(1, 0.5), (2, 0.5)]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_nothing_of_it_stays_however_the_stage_ends(at_once, error):
    with pytest.raises(error) if error else open_live_run("head@l2"), open_live_run("scratch@dropout") as shown:
        shown.add_epoch(ROW)
        assert len(samples.active_runs()) == 1
        if error:
            raise error
    assert samples.active_runs() == []


def test_short_training_asks_the_store_nothing(requests):
    with open_live_run("scratch@dropout") as shown:
        for _ in range(100):
            shown.add_epoch(ROW)
    assert requests == []
    assert samples.active_runs() == []


def test_many_epochs_go_in_few_messages_and_none_is_lost(at_once, requests, monkeypatch):
    monkeypatch.setattr(live, "SHARE", 1e-9)
    with open_live_run("scratch@dropout") as shown:
        for _ in range(500):
            shown.add_epoch(ROW)
        assert requests == [6]  # the second message waits for its share of time
        shown._next = 0.0
        shown.add_epoch(ROW)
        (run,) = samples.active_runs()
        assert [step for step, _ in history(run, "val_loss")] == list(range(1, 502))


def test_failing_store_costs_no_epoch_and_is_tried_again(at_once, monkeypatch, capsys):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    real, failed = MlflowClient.log_batch, []

    def log_batch(self, *args, **kwargs):
        if not failed:
            failed.append(args)
            raise MlflowException("no")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    with open_live_run("scratch@dropout") as shown:
        shown.add_epoch(ROW)
        shown.add_epoch(ROW)
        (run,) = samples.active_runs()
        assert len(history(run, "train_loss")) == 2
    assert capsys.readouterr().err == ""


def test_unreachable_server_does_not_keep_the_stage_from_writing_its_runs(at_once, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(live, "LIMIT", 0.1)
    with open_live_run("scratch@dropout") as shown:
        shown.add_epoch(ROW)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert runs.log_result(samples.model("dropout")) is not None


def test_what_a_killed_training_left_is_removed_by_the_next(at_once):
    killed = live.LiveRun("scratch@dropout")
    killed.add_epoch(ROW)
    with open_live_run("scratch@dropout") as shown:
        shown.add_epoch(ROW)
        assert len(samples.active_runs()) == 1


def test_runs_of_the_stage_replace_what_a_killed_training_left(at_once):
    live.LiveRun("scratch@dropout").add_epoch(ROW)
    runs.log_result(samples.model("dropout"))
    assert {run.info.status for run in samples.active_runs()} == {"FINISHED"}
