"""Test repositories in folders with unusual names: addresses are quoted, and no result depends on the store."""

import os
from pathlib import Path

import pytest
import tracking_samples as samples

from fitgap.tracking import migrations, runs, store
from fitgap.tracking.addresses import artifact_folder, artifact_location, sqlite_file, sqlite_uri

NAMES = [
    "100% done",
    "a#b",
    "a?b",
    'it\'s "x"',
    "한국",
    "a%20b",
    "c:d",
    "two  words",
    "$HOME",
    "a&b;c=d",
    "back\\slash",
]


@pytest.fixture
def enter(tmp_path, monkeypatch):
    """Return a function that makes a folder of a name and goes there."""

    def go(name: str) -> Path:
        samples.forget_surroundings(monkeypatch)
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        return tmp_path / name

    return go


@pytest.mark.parametrize("name", NAMES)
def test_addresses_lead_back_to_the_folder(name):
    from mlflow.utils.file_utils import local_file_uri_to_path
    from sqlalchemy import create_engine

    folder = Path("/home") / name / "repository"
    file = folder / "mlflow.db"
    assert sqlite_file(sqlite_uri(file)) == file
    assert create_engine(sqlite_uri(file)).url.database == str(file)
    assert artifact_folder(artifact_location(folder)) == folder
    assert local_file_uri_to_path(artifact_location(folder)) == str(folder)


def test_usual_folders_have_plain_addresses():
    folder = Path("/home/ada/fit-gap_2.0 (copy)")
    assert sqlite_uri(Path("/home/ada/mlflow.db")) == "sqlite:////home/ada/mlflow.db"
    assert artifact_location(Path("/home/ada/mlruns")) == "/home/ada/mlruns"
    assert artifact_folder("/home/ada/mlruns") == Path("/home/ada/mlruns")
    assert sqlite_file(sqlite_uri(folder)) == folder


def test_an_address_of_ones_own_keeps_its_options(enter, monkeypatch):
    here = enter("a?b")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db?timeout=5")
    assert store.tracking_uri() == f"sqlite+pysqlite:///{here.parent}/a%3Fb/other.db?timeout=5"


def test_a_run_is_logged_in_a_folder_with_all_these_signs(enter, capsys):
    here = enter('100% a?b#c it\'s "x" 한국 %41:$d')
    run_id = runs.log_result(samples.model(seeds=(0,)))
    assert runs.log_result(samples.model(seeds=(0,))) == run_id
    assert capsys.readouterr().err == ""
    assert (here / "mlruns" / "1" / run_id / "artifacts" / "record.json").exists()
    downloaded = Path(samples.client().download_artifacts(run_id, "record.json"))
    assert downloaded.read_text() == (here / "mlruns" / "1" / run_id / "artifacts" / "record.json").read_text()
    assert [path.name for path in here.parent.iterdir()] == [here.name]


@pytest.mark.parametrize("given", ["/a/100% done/migrations", "/a/100%% done/migrations", "/a/migrations"])
def test_migrations_are_found_below_a_percent_sign(given):
    from alembic.config import Config

    before, config = Config.set_main_option, Config()
    with migrations.allow_percent_sign():
        config.set_main_option("script_location", given)
    assert config.get_main_option("script_location") == given.replace("%%", "%")
    assert Config.set_main_option is before


def test_a_name_that_is_not_utf8_is_told_in_one_line(enter, monkeypatch, capsys):
    try:
        enter(os.fsdecode(b"caf\xe9"))
    except (OSError, UnicodeError):
        pytest.skip("the file system takes no such name")
    assert runs.log_results([samples.single(), samples.model()]) == {}
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "caf\\xe9: this folder's name is not UTF-8" in told and "results are safe" in told
