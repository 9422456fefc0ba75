"""Test where runs go, and stores that are away, hang, were moved or have an address that does not work."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tracking_samples as samples

from fitgap.tracking import relocate, runs, store
from fitgap.tracking.addresses import redacted, tracking_uri

HERE = Path(__file__).parents[1]
LOG = "import tracking_samples; from fitgap.tracking import runs; print(runs.log_result(tracking_samples.model()))"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


def process(code: str, folder: Path) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name not in samples.VARIABLES}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, **pipes)


def names_in(experiment: str) -> list[str]:
    experiment_id = samples.client().get_experiment_by_name(experiment).experiment_id
    return [run.info.run_name for run in samples.client().search_runs([experiment_id])]


def test_importing_what_a_report_needs_costs_neither_mlflow_nor_tensorflow(tmp_path):
    code = "import sys, fitgap.claims, fitgap.report.page; from fitgap.tracking import models, runs; "
    code += "print({'mlflow', 'tensorflow', 'keras', 'sqlalchemy'} & set(sys.modules) or 'none')"
    assert process(code, tmp_path).communicate() == ("none\n", "")


def test_default_is_what_a_bare_mlflow_ui_shows(repository):
    assert tracking_uri() == f"sqlite:///{repository}/mlflow.db"
    run_id = runs.log_result(samples.single())
    assert samples.client().get_experiment_by_name("fitgap").artifact_location == str(repository / "mlruns" / "1")
    assert (repository / "mlruns" / "1" / run_id / "artifacts" / "record.json").exists()
    assert Path(samples.client().get_experiment("0").artifact_location) == repository / "mlruns" / "0"


def test_copy_made_by_dvc_writes_to_the_real_repository(repository, tmp_path, monkeypatch):
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    run_id = runs.log_result(samples.single())
    assert (repository / "mlruns" / "1" / run_id).is_dir()
    assert not list((tmp_path / "copy").iterdir())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db?timeout=5")
    assert tracking_uri() == f"sqlite:///{repository}/other.db?timeout=5"


def test_experiment_of_another_name_and_of_an_id(repository, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "thesis")
    run_id = runs.log_result(samples.single())
    assert runs.log_result(samples.single()) == run_id
    assert names_in("thesis") == ["prepare"] and names_in("fitgap") == []
    assert list(repository.glob(f"mlruns/*/{run_id}/artifacts/record.json"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "1")
    runs.log_result(samples.single())
    assert names_in("fitgap") == ["prepare"] and capsys.readouterr().err == ""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    assert runs.log_results([samples.single()]) == {}
    assert "No Experiment with id=77 exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["./mlruns", "file:///data/mlruns", "C:\\mlruns", "postgresql://ada:s3cret@host/db"]
)
def test_folder_or_database_is_refused_in_one_line(repository, address, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert runs.log_results([samples.single(), samples.model()]) == {}
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "allowed: http://SERVER" in line and "s3cret" not in line


@pytest.mark.parametrize("name", ["100% done", "a?b", os.fsdecode(b"caf\xe9")])
def test_folder_whose_name_mlflow_cannot_store_is_refused_in_one_line(tmp_path, name, monkeypatch, capsys):
    samples.forget(monkeypatch)
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    assert runs.log_results([samples.single(), samples.model()]) == {}
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "rename the folder" in line


def test_folders_of_other_names_work(tmp_path, monkeypatch, capsys):
    here = samples.repository(tmp_path / 'a#b it\'s "x" 한국:$d&c', monkeypatch)
    run_id = runs.log_result(samples.model(seeds=(0,)))
    assert runs.log_result(samples.model(seeds=(0,))) == run_id and capsys.readouterr().err == ""
    assert (here / "mlruns" / "1" / run_id / "artifacts" / "record.json").exists()
    assert Path(samples.client().download_artifacts(run_id, "record.json")).exists()


@pytest.mark.slow
def test_two_processes_that_begin_at_once_make_one_database(tmp_path):
    (tmp_path / "mlflow.db.new").write_bytes(b"left by a process that was killed")
    both = [process(LOG, tmp_path) for _ in range(2)]
    answers = [one.communicate() for one in both]
    assert [errors for _, errors in answers] == ["", ""]
    assert answers[0] == answers[1] and answers[0][0] != "None\n"
    assert {path.name for path in tmp_path.iterdir()} == {".dvc", "mlflow.db", "mlruns"}


def test_database_is_created_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    def killed(self, address, *_):
        Path(address.removeprefix("sqlite:///")).write_bytes(b"half of a database")
        raise OSError("killed")

    samples.forget(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SqlAlchemyStore, "__init__", killed)
    assert runs.log_result(samples.single()) is None and "killed" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()


def test_moved_repository_is_named_and_brought_back(repository, tmp_path, monkeypatch, capsys):
    before = runs.log_result(samples.single())
    monkeypatch.chdir(tmp_path)
    shutil.move(repository, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    samples.forget(monkeypatch)
    assert runs.log_result(samples.model()) is None
    assert "python -m fitgap.tracking.relocate" in capsys.readouterr().err
    relocate.main()
    samples.forget(monkeypatch)
    assert samples.client().list_artifacts(before)
    assert runs.log_result(samples.single()) == before and runs.log_result(samples.model()) is not None
    assert not repository.exists()


def test_artifacts_may_lie_behind_a_link(repository, tmp_path, monkeypatch, capsys):
    assert runs.log_result(samples.single()) is not None
    shutil.move(repository / "mlruns", tmp_path / "disk")
    (repository / "mlruns").symlink_to(tmp_path / "disk")
    samples.forget(monkeypatch)
    assert runs.log_result(samples.model()) is not None and capsys.readouterr().err == ""


def test_two_repositories_do_not_share_the_folder_of_one(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    assert runs.log_result(samples.single()) is not None
    samples.repository(tmp_path / "second", monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    assert runs.log_result(samples.model()) is None
    assert f"are in {repository}/mlruns, of another repository; name another exp" in capsys.readouterr().err
    samples.forget(monkeypatch)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "second")
    assert runs.log_result(samples.model()) is not None


def test_server_that_is_away_costs_one_line_for_all_results(repository, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:s3cret@127.0.0.1:{closed}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert runs.log_results([samples.single(), samples.model()]) == {}
    assert runs.log_result(samples.single("report")) is None
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "2 of 2 MLflow runs neither found nor written" in line
    assert f"***@127.0.0.1:{closed}" in line and "s3cret" not in line and "make sync" in line


def test_server_that_hangs_costs_one_timeout(repository, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert runs.log_result(samples.model()) is None and runs.log_result(samples.single()) is None
    assert capsys.readouterr().err.count("\n") == 1


def test_variables_of_the_user_count(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
    store.set_variables()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:s3cret@host:5000/api", "http://***@host:5000/api"),
        ("at http://ada:s3@cret@host, and https://b:s3cret@host2", "at http://***@host, and https://***@host2"),
        ("postgresql://host/db?user=ada&password=s3cret&x=1", "postgresql://host/db?user=ada&password=***&x=1"),
        ("http://host/mail@example.org", "http://host/mail@example.org"),
    ],
)
def test_no_password_is_shown(text, shown):
    assert redacted(text) == shown
