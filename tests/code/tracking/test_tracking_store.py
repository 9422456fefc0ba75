"""Test the store's location, and messages on stores that were moved, deleted or written by an old MLflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tracking_samples as samples

from fitgap.system.errors import UserError
from fitgap.tracking import relocate, runs, store

HERE = Path(__file__).parents[1]
LOG_ONE = "import tracking_samples; from fitgap.tracking import runs; print(runs.log_result(tracking_samples.model()))"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


def process(code: str, folder: Path, **variables: str) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if k not in samples.VARIABLES}
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**environment, "PYTHONPATH": paths, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_importing_costs_neither_mlflow_nor_tensorflow(tmp_path):
    heavy = "[name for name in ('mlflow', 'tensorflow', 'keras', 'sqlalchemy') if name in sys.modules]"
    code = f"import sys; from fitgap.tracking import models, runs; print({heavy})"
    assert process(code, tmp_path).communicate() == ("[]\n", "")


def test_the_default_is_what_a_bare_mlflow_uses(repository):
    bare, _ = process("import mlflow; print(mlflow.get_tracking_uri())", repository).communicate()
    assert store.tracking_uri() == bare.strip() == f"sqlite:///{repository}/mlflow.db"
    experiment = samples.client().get_experiment_by_name("fitgap")
    default = samples.client().get_experiment("0").artifact_location
    assert experiment.artifact_location == str(repository / "mlruns" / "1")
    assert Path(default).name == "0" and Path(default).parent.name == "mlruns"


def test_a_copy_made_by_dvc_writes_to_the_real_repository(repository, tmp_path, monkeypatch):
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    run_id = runs.log_result(samples.single())
    assert (repository / "mlruns" / "1" / run_id).is_dir()
    assert not list((tmp_path / "copy").iterdir())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store.tracking_uri() == f"sqlite:///{repository}/other.db"


@pytest.mark.parametrize("given", ["./mlruns", "file:///data/mlruns", "C:\\mlruns"])
def test_a_folder_is_refused_in_one_line(repository, given, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_URI: .*allowed: .*unset it"):
        store.tracking_uri()
    assert runs.log_result(samples.single()) is None
    assert capsys.readouterr().err.count("\n") == 1


def test_two_processes_that_begin_at_once_make_one_database(tmp_path):
    both = [process(LOG_ONE, tmp_path) for _ in range(2)]
    answers = [one.communicate() for one in both]
    assert [told for _, told in answers] == ["", ""]
    assert answers[0] == answers[1] and answers[0][0] != "None\n"
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlruns"}


def test_a_database_that_was_half_made_is_in_nobodys_way(tmp_path, monkeypatch):
    samples.forget_surroundings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db.new").write_bytes(b"half of a database")
    assert runs.log_result(samples.single()) is not None
    assert not (tmp_path / "mlflow.db.new").exists()


def test_an_experiment_deleted_in_the_ui_is_told_with_the_way_back(repository, capsys):
    samples.client().delete_experiment("1")
    assert runs.log_result(samples.single()) is None
    assert "mlflow experiments restore --experiment-id 1" in capsys.readouterr().err
    samples.client().restore_experiment("1")
    assert runs.log_result(samples.single()) is not None


def test_a_moved_repository_is_told_and_brought_back(repository, tmp_path, monkeypatch, capsys):
    before = runs.log_result(samples.single())
    monkeypatch.chdir(tmp_path)
    shutil.move(repository, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert runs.log_result(samples.model()) is None
    assert "python -m fitgap.tracking.relocate" in capsys.readouterr().err
    assert relocate.main() == 0
    assert samples.client().list_artifacts(before)
    assert runs.log_result(samples.single()) == before
    assert runs.log_result(samples.model()) is not None
    assert not repository.exists()


def test_relocating_waits_for_the_artifacts(repository, tmp_path, monkeypatch, capsys):
    runs.log_result(samples.single())
    (tmp_path / "copy").mkdir()
    shutil.copy("mlflow.db", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    assert relocate.main() == 1
    assert f"first bring {repository / 'mlruns'} there" in capsys.readouterr().err


def test_what_an_old_mlflow_left_is_named(repository, capsys):
    (repository / "mlruns" / "0").mkdir(parents=True)
    (repository / "mlruns" / "0" / "meta.yaml").touch()
    assert runs.log_result(samples.single()) is not None
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "mlruns/0/meta.yaml" in told and "sqlite:///mlflow.db" in told
