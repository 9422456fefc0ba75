"""Test a store that several clones use at the same moment, and requests that it rejects."""

import pytest
import tracking_samples as samples

from fitgap.tracking import existing, models, runs, store

CONFLICT = '(psycopg.errors.UniqueViolation) duplicate key value violates unique constraint "dataset_pk"'


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture
def fails(monkeypatch):
    """Return a function that makes calls of a method of MLflow's client fail: those whose arguments hold a text."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fail(method: str, code: str, text: str = "", times: int = 99, holding: str = "") -> list:
        real, failed = getattr(MlflowClient, method), []

        def failing(self, *args, **kwargs):
            if holding in repr(args) and len(failed) < times:
                failed.append(args)
                raise MlflowException(text, code)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(MlflowClient, method, failing)
        return failed

    return fail


def test_what_another_clone_creates_at_the_same_moment_is_no_failure(fails, capsys):
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    failed = fails("log_inputs", BAD_REQUEST, CONFLICT, times=2)
    runs.log_result(samples.model())
    assert len(failed) == 2 and capsys.readouterr().err == ""
    assert {run.info.status for run in samples.active_runs()} == {"FINISHED"}
    assert all(run.inputs.dataset_inputs for run in samples.active_runs())


def test_an_experiment_and_a_model_that_another_clone_created_are_used(monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shared")
    made = samples.client().create_experiment("shared")
    looked, real = [], MlflowClient.get_experiment_by_name

    def too_early(self, name):
        looked.append(name)
        return None if len(looked) == 1 else real(self, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    with store.open_store() as opened:
        assert opened.experiment_id == made
        opened.client.create_registered_model("model")
        assert opened.client.create_registered_model("model").name == "model"


def test_a_rejected_run_does_not_stop_the_others(fails, capsys):
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    fails("create_run", INVALID_PARAMETER_VALUE, "a param is too long", holding="scratch@l1")
    assert list(runs.log_results([samples.model("l1"), samples.single(), samples.model("l2")])) == [
        "prepare",
        "scratch@l2",
    ]
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "scratch@l1: no MLflow run written: a param is too long" in told


def test_an_outage_stops_and_says_how_many_runs_are_missing(fails, capsys):
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    failed = fails("create_run", TEMPORARILY_UNAVAILABLE, "away", holding="scratch@l1")
    assert runs.log_results([samples.single(), samples.model("l1"), samples.model("l2")]) == {}
    told = capsys.readouterr().err
    assert len(failed) == 1 and told.count("\n") == 1
    assert "2 of 3 MLflow runs neither found nor written: away" in told and "`make sync`" in told


@pytest.fixture
def rival(monkeypatch):
    """Return a function that lets another clone have a run of the same result, just before one of ours is finished."""
    from mlflow import MlflowClient

    def add(result, status: str, order: str) -> list[str]:
        real, ids = MlflowClient.log_artifacts, []

        def log_artifacts(self, run_id, *args, **kwargs):
            real(self, run_id, *args, **kwargs)
            tags = {"fitgap.fingerprint": result.fingerprint, "fitgap.writer": "another clone"}
            is_before = order == "before"
            while not ids or (ids[-1] < run_id) != is_before:
                ids.append(self.create_run("1", tags=tags, run_name="theirs").info.run_id)
            for unwanted in ids[:-1]:
                self.delete_run(unwanted)
            if status == "FINISHED":
                self.set_terminated(ids[-1])

        monkeypatch.setattr(MlflowClient, "log_artifacts", log_artifacts)
        return ids

    return add


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_run_that_another_clone_finished_first_stays_alone(rival, order):
    theirs = rival(samples.model(), "FINISHED", order)
    assert runs.log_result(samples.model()) == theirs[-1]
    assert [run.info.run_name for run in samples.active_runs()] == ["theirs"]


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_run_that_another_clone_never_finishes_holds_nobody_up(rival, order, monkeypatch):
    monkeypatch.setattr(existing, "PATIENCE", 0.3)
    theirs = rival(samples.single(), "RUNNING", order)
    run_id = runs.log_result(samples.single())
    assert {run.info.run_id for run in samples.active_runs()} == {run_id, theirs[-1]}
    assert samples.client().get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("writer", ["another clone", None])
def test_a_model_that_another_clone_is_writing_stays(writer):
    run_id = runs.log_result(samples.single())
    with store.open_store() as opened:
        tags = {"fitgap.writer": writer or opened.writer}
        theirs = samples.client().create_logged_model("1", "model", run_id, tags=tags).model_id
        assert models.find_model(opened, run_id) is None
    left = [model.model_id for model in samples.client().search_logged_models(["1"])]
    assert left == ([theirs] if writer else [])
