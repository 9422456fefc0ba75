"""Test the MLflow runs of a result: complete, written once, and mended after kills and failures."""

import json

import pytest
import tracking_samples as samples
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from requests.exceptions import HTTPError

from fitgap.pipeline import timings
from fitgap.tracking import runs, store


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


@pytest.fixture
def fail(monkeypatch):
    """Return a function that runs an action while a method of MLflow's client raises an error."""

    def run(action, method: str, error: BaseException, holding: str = ""):
        real = getattr(MlflowClient, method)

        def failing(self, *args, **kwargs):
            if holding in repr(args):
                raise error
            return real(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, method, failing)
            return action()

    return run


def statuses() -> set[str]:
    return {run.info.status for run in samples.active_runs()}


def files(run_id: str) -> set[str]:
    return {artifact.path for artifact in samples.client().list_artifacts(run_id)}


def test_model_is_a_parent_with_a_child_per_seed():
    result = samples.model()
    timings.save(result, {"stage_seconds": 60.0}, {0: 10.0, 1: 20.0, 2: 24.0})
    run_id = runs.log_result(result)
    parent, children = samples.client().get_run(run_id), samples.children(run_id)
    assert parent.info.run_name == "scratch@dropout"
    assert [child.info.run_name for child in children] == [f"scratch@dropout seed {seed}" for seed in (0, 1, 2)]
    assert all(child.info.run_id in parent.data.tags["mlflow.note.content"] for child in children)
    assert parent.info.end_time - parent.info.start_time >= 60_000
    assert samples.curve(run_id, "val_loss") == {e: pytest.approx(1 / e + 1) for e in (1, 2, 3, 4)}
    for run in (parent, *children):
        assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time
        assert run.data.tags["stage"] == "scratch" and run.data.tags["variant"] == "dropout"
        assert run.data.tags["fitgap.fingerprint"] == result.fingerprint
        assert run.data.tags["data_digest"] == samples.DIGEST
        expected = {"scratch.epochs": "4", "scratch.filters": "[32, 64]", "variants.batch_norm": "true"}
        assert run.data.params == expected
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.name == "digits" and samples.DIGEST.startswith(dataset.dataset.digest)


def test_long_history_arrives_whole():
    run_id = runs.log_result(samples.model(epochs=1000, seeds=(0,)))
    assert sorted(samples.curve(run_id, "val_loss")) == list(range(1, 1001))


def test_other_stages_are_single_runs_with_artifacts(tmp_path):
    page = tmp_path / "report.md"
    page.write_text("# Report\n", encoding="utf-8")
    run_id = runs.log_result(samples.single(duplicates=2), [page])
    (run,) = samples.active_runs()
    assert (run.info.run_id, run.info.run_name) == (run_id, "prepare")
    assert run.data.metrics == {"images": 1797, "duplicates": 2}
    assert files(run_id) == {"record.json", "report.md"}


def test_report_has_the_answer_and_links_and_the_experiment_a_table_of_models():
    model_id, report_id = runs.log_result(samples.model()), runs.log_result(samples.single("report"))
    runs.link_report(report_id, {"scratch@dropout": model_id}, ["Use this one.", "Not that."])
    description = samples.client().get_run(report_id).data.tags["mlflow.note.content"]
    assert description.startswith("- Use this one.\n- Not that.\n\n") and f"runs/{model_id})" in description
    view = json.loads(samples.client().get_experiment("1").tags["mlflow.sharedViewState.leaderboard"])
    (found,) = samples.client().search_runs(["1"], view["searchFilter"], order_by=[f"{view['orderByKey']} DESC"])
    assert found.info.run_id == model_id


def test_same_result_is_found_and_another_is_written():
    ids = runs.log_results([samples.single(), samples.model()])
    assert list(ids) == ["prepare", "scratch@dropout"]
    assert runs.log_results([samples.single(), samples.model()]) == ids
    assert len(samples.active_runs()) == 5
    assert runs.log_result(samples.model(**{"scratch.batch_size": 8})) not in ids.values()


def test_run_deleted_in_the_ui_is_written_anew():
    first = runs.log_result(samples.model())
    samples.client().delete_run(first)  # its children stay, as they do in the UI
    second = runs.log_result(samples.model())
    assert second != first and len(samples.active_runs()) == 4
    assert len(samples.children(second)) == 3


@pytest.mark.parametrize("method", ["log_batch", "set_terminated", "log_dict"])
def test_what_a_killed_process_left_is_replaced(fail, method):
    with pytest.raises(KeyboardInterrupt):
        fail(lambda: runs.log_result(samples.model()), method, KeyboardInterrupt())
    assert "RUNNING" in statuses()
    run_id = runs.log_result(samples.model())
    assert len(samples.active_runs()) == 4 and len(samples.children(run_id)) == 3
    assert statuses() == {"FINISHED"}


def test_what_a_killed_process_left_before_an_edit_is_deleted(fail):
    other = runs.log_result(samples.model("l1"))
    with pytest.raises(KeyboardInterrupt):
        fail(lambda: runs.log_result(samples.model()), "log_dict", KeyboardInterrupt())
    runs.log_result(samples.model(**{"scratch.batch_size": 8}))
    assert statuses() == {"FINISHED"} and len(samples.active_runs()) == 8
    assert runs.log_result(samples.model("l1")) == other


def test_what_another_machine_is_writing_is_left_alone(fail):
    with pytest.raises(KeyboardInterrupt):
        fail(lambda: runs.log_result(samples.single()), "log_dict", KeyboardInterrupt())
    (other,) = samples.active_runs()
    samples.client().set_tag(other.info.run_id, "fitgap.writer", "another machine")
    runs.log_result(samples.single())
    assert other.info.run_id in {run.info.run_id for run in samples.active_runs()}


def test_run_begun_twice_because_an_answer_was_lost_is_there_once(monkeypatch):
    create = MlflowClient.create_run

    def begin_twice(*arguments):  # as MLflow does when it repeats the request
        create(*arguments)
        return create(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", begin_twice)
        run_id = runs.log_result(samples.single())
    assert statuses() == {"RUNNING", "FINISHED"}
    assert runs.log_result(samples.single()) == run_id and statuses() == {"FINISHED"}


def test_failure_costs_one_line_and_ends_the_use_of_the_store_in_this_process(fail, monkeypatch, capsys):
    failed = fail(lambda: runs.log_result(samples.single()), "log_dict", OSError("No space left on device"))
    assert failed is None and runs.log_result(samples.single()) is None and runs.log_results([samples.model()]) == {}
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "prepare: no MLflow run written" in line and "No space left on device" in line
    assert "the results are safe in results/, `make sync`" in line
    monkeypatch.setattr(store, "_given_up", False)  # the next process
    assert runs.log_result(samples.single()) is not None
    assert len(samples.active_runs()) == 1


def test_rejected_run_does_not_stop_the_others(fail, capsys):
    error = MlflowException("a param is too long", INVALID_PARAMETER_VALUE)
    results = [samples.model("l1"), samples.single(), samples.model("l2")]
    ids = fail(lambda: runs.log_results(results), "create_run", error, holding="scratch@l1")
    assert list(ids) == ["prepare", "scratch@l2"]
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "scratch@l1: no MLflow run written" in line and "a param is too long" in line


def test_refused_file_is_named_and_all_else_arrives(fail, capsys, tmp_path):
    (tmp_path / "report.html").write_text("large")
    (tmp_path / "report.md").write_text("small")
    error = HTTPError("413 Client Error: Request Entity Too Large for url: http://x. Response text: <html>nginx</html>")
    files_of = [tmp_path / "report.html", tmp_path / "report.md"]
    run_id = fail(lambda: runs.log_result(samples.single(), files_of), "log_artifact", error, holding="report.html")
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "prepare: report.html is not in its MLflow run" in line and "413" in line
    assert "<" not in line and files(run_id) == {"record.json", "report.md"} and statuses() == {"FINISHED"}
    assert runs.log_result(samples.model()) is not None  # the store is still asked


def test_outage_stops_and_says_how_many_runs_are_missing(fail, capsys):
    error = MlflowException("away", TEMPORARILY_UNAVAILABLE)
    results = [samples.single(), samples.model("l1"), samples.model("l2")]
    assert fail(lambda: runs.log_results(results), "create_run", error, holding="scratch@l1") == {}
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "2 of 3 MLflow runs neither found nor written" in line
