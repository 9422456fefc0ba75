"""Test the MLflow runs of a result: their content, and that they are written once."""

import pytest
import tracking_samples as samples

from fitgap.pipeline import timings
from fitgap.tracking import runs


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


def test_a_model_is_a_parent_with_a_child_per_seed():
    run_id = runs.log_result(samples.model())
    parent, children = samples.client().get_run(run_id), samples.children(run_id)
    assert parent.info.run_name == "scratch@dropout"
    assert [c.info.run_name for c in children] == [f"scratch@dropout seed {s}" for s in (0, 1, 2)]
    assert [c.data.tags["seed"] for c in children] == ["0", "1", "2"]
    assert all(c.info.run_id in parent.data.tags["mlflow.note.content"] for c in children)
    assert "seed" not in parent.data.tags and parent.data.tags["best_seed"] == "0"


def test_every_run_is_finished_and_says_what_it_is():
    result = samples.model()
    runs.log_result(result)
    assert len(samples.active_runs()) == 4
    for run in samples.active_runs():
        assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time
        assert run.data.tags["stage"] == "scratch" and run.data.tags["variant"] == "dropout"
        assert run.data.tags["fitgap.fingerprint"] == result.fingerprint
        assert run.data.tags["data_digest"] == samples.DIGEST
        expected = {"scratch.epochs": "4", "scratch.filters": "[32, 64]", "variants.batch_norm": "true"}
        assert run.data.params == expected
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.name == "digits" and samples.DIGEST.startswith(dataset.dataset.digest)


def test_the_parent_has_means_spreads_and_counts_under_the_childrens_names():
    run_id = runs.log_result(samples.model())
    measured = samples.client().get_run(run_id).data.metrics
    assert measured["test_accuracy"] == pytest.approx(0.91)
    assert measured["test_accuracy_sd"] == pytest.approx(0.01)
    assert measured["seeds"] == 3
    assert (measured["params_total"], measured["params_trainable"], measured["params_frozen"]) == (100, 90, 10)
    for number, child in enumerate(samples.children(run_id)):
        assert child.data.metrics["test_accuracy"] == pytest.approx(0.9 + number / 100)
        assert set(child.data.metrics) < set(measured)


def test_one_seed_has_no_spread():
    measured = samples.client().get_run(runs.log_result(samples.model(seeds=(5,)))).data.metrics
    assert measured["seeds"] == 1 and "test_accuracy_sd" not in measured


def test_curves_stand_at_their_epochs():
    run_id = runs.log_result(samples.model())
    for seed, child in enumerate(samples.children(run_id)):
        expected = {epoch: pytest.approx(1 / epoch + seed) for epoch in (1, 2, 3, 4)}
        assert samples.curve(child.info.run_id, "val_loss") == expected
    assert samples.curve(run_id, "val_loss") == {e: pytest.approx(1 / e + 1) for e in (1, 2, 3, 4)}


def test_a_long_history_arrives_whole():
    run_id = runs.log_result(samples.model(epochs=1000, seeds=(0,)))
    assert sorted(samples.curve(run_id, "val_loss")) == list(range(1, 1001))
    assert sorted(samples.curve(run_id, "train_loss")) == list(range(1, 1001))


def test_other_stages_are_single_runs(tmp_path):
    page = tmp_path / "report.md"
    page.write_text("# Report\n", encoding="utf-8")
    run_id = runs.log_result(samples.single(duplicates=2), [page])
    (run,) = samples.active_runs()
    assert (run.info.run_id, run.info.run_name) == (run_id, "prepare")
    assert run.data.metrics == {"images": 1797, "duplicates": 2}
    files = {artifact.path for artifact in samples.client().list_artifacts(run_id)}
    assert files == {"record.json", "metrics.json", "report.md"}


def test_artifacts_of_a_model_leave_out_the_probabilities(repository):
    run_id = runs.log_result(samples.model())
    files = {artifact.path for artifact in samples.client().list_artifacts(run_id)}
    assert files == {"record.json", "metrics.json", "history.csv"}
    assert (repository / "mlruns" / "1" / run_id / "artifacts" / "history.csv").exists()


def test_wall_times_become_metrics_and_durations():
    result = samples.model()
    timings.save(
        result, {"stage_seconds": 60.0}, {0: 10.0, 1: 20.0, 2: 24.0}, ["A", "B", "A"], images_per_second=1500.0
    )
    run_id = runs.log_result(result)
    parent = samples.client().get_run(run_id)
    assert parent.data.metrics["stage_seconds"] == 60.0
    assert parent.data.tags["processors"] == "A; B"
    assert parent.data.metrics["seconds"] == pytest.approx(18.0)
    assert parent.data.metrics["images_per_second"] == 1500.0
    assert parent.info.end_time - parent.info.start_time >= 60_000
    assert [child.data.metrics["seconds"] for child in samples.children(run_id)] == [10.0, 20.0, 24.0]


def test_logging_again_finds_the_run():
    first = runs.log_result(samples.model())
    assert runs.log_result(samples.model()) == first
    assert len(samples.active_runs()) == 4


def test_other_params_are_another_run():
    first, second = runs.log_result(samples.model()), runs.log_result(samples.model(**{"scratch.batch_size": 8}))
    assert first != second and len(samples.active_runs()) == 8


def test_a_run_deleted_in_the_ui_is_written_anew():
    first = runs.log_result(samples.model())
    samples.client().delete_run(first)  # its children stay, as they do in the UI
    second = runs.log_result(samples.model())
    assert second != first and len(samples.active_runs()) == 4
    assert len(samples.children(second)) == 3


def test_log_all_gives_the_ids_by_name():
    ids = runs.log_results([samples.single(), samples.model()])
    assert list(ids) == ["prepare", "scratch@dropout"]
    assert samples.client().get_run(ids["prepare"]).info.run_name == "prepare"


def test_the_report_links_to_the_models():
    ids = runs.log_results([samples.single("report"), samples.model()])
    runs.link_report(ids["report"], {"scratch@dropout": ids["scratch@dropout"]})
    report = samples.client().get_run(ids["report"])
    assert (
        f"[scratch@dropout](#/experiments/1/runs/{ids['scratch@dropout']})" in report.data.tags["mlflow.note.content"]
    )
    assert "runs.json" in {artifact.path for artifact in samples.client().list_artifacts(ids["report"])}
