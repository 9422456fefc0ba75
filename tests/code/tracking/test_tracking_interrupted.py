"""Test a process killed while writing a run: no duplicates, and no partial run that looks complete."""

import pytest
import tracking_samples as samples

from fitgap.tracking import runs


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture
def dies(monkeypatch):
    """Return a function that interrupts the writing of a result at a method of MLflow's client."""
    from mlflow import MlflowClient

    def die(method: str, result) -> None:
        def dying(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(MlflowClient, method, dying)
            runs.log_result(result)

    return die


@pytest.mark.parametrize("method", ["log_batch", "set_terminated", "set_tag", "log_artifacts"])
def test_what_was_half_written_is_replaced(dies, method):
    dies(method, samples.model())
    assert "RUNNING" in {run.info.status for run in samples.active_runs()}
    run_id = runs.log_result(samples.model())
    assert len(samples.active_runs()) == 4 and len(samples.children(run_id)) == 3
    assert {run.info.status for run in samples.active_runs()} == {"FINISHED"}


def test_what_was_half_written_before_an_edit_is_removed(dies):
    whole = runs.log_result(samples.model("l1"))
    dies("log_artifacts", samples.model())
    runs.log_result(samples.model(**{"scratch.batch_size": 8}))
    assert {run.info.status for run in samples.active_runs()} == {"FINISHED"}
    assert len(samples.active_runs()) == 8
    assert runs.log_result(samples.model("l1")) == whole


def test_what_another_machine_is_writing_is_left_alone(dies):
    dies("log_artifacts", samples.single())
    (other,) = samples.active_runs()
    samples.client().set_tag(other.info.run_id, "fitgap.writer", "another machine")
    runs.log_result(samples.single())
    assert other.info.run_id in {run.info.run_id for run in samples.active_runs()}


def test_a_failure_of_the_disk_is_told_and_mended(monkeypatch, capsys):
    from mlflow import MlflowClient

    def full(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", full)
        assert runs.log_result(samples.single()) is None
    assert "prepare: no MLflow run written: No space left on device" in capsys.readouterr().err
    assert runs.log_result(samples.single()) is not None
    assert len(samples.active_runs()) == 1
