"""Test checkpoints: a killed stage resumes if and only if its inputs are unchanged."""

import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fitgap.pipeline import checkpoints
from fitgap.pipeline.checkpoints import Checkpoint

PIPELINE = """
stages:
  scratch:
    foreach: ${variants}
    do:
      cmd: python -m stages.scratch ${key}
      deps: [fitgap/training, data/prepared]
      params: [seeds, "variants.${key}"]
"""
PARAMS = """
seeds: [0, 1]
variants:
  baseline: {}
  dropout: {dropout: 0.3}
"""


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A repository with a stage, its code and its data, as the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "fitgap/training/trainer.py": "epochs = 1",
        "data/prepared/labels.npy": "0123",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def begin_and_die(stage: str = "scratch@dropout") -> None:
    with pytest.raises(KeyboardInterrupt), checkpoints.open_checkpoint(stage) as checkpoint:
        checkpoint.save("seed-0", {"weights": np.arange(3.0)})
        raise KeyboardInterrupt


def is_found(stage: str = "scratch@dropout") -> bool:
    with pytest.raises(KeyboardInterrupt), checkpoints.open_checkpoint(stage) as checkpoint:
        found = checkpoint.load("seed-0") is not None
        raise KeyboardInterrupt
    return found


def test_work_of_a_killed_stage_is_found_to_the_bit(repository):
    begin_and_die()
    with checkpoints.open_checkpoint("scratch@dropout") as checkpoint:
        np.testing.assert_array_equal(checkpoint.load("seed-0")["weights"], np.arange(3.0))
    assert list((repository / "checkpoints").iterdir()) == []  # it ended well, so nothing stays


def test_two_processes_on_the_same_work_do_not_delete_each_others_folder():
    with checkpoints.open_checkpoint("scratch@dropout") as first:
        with checkpoints.open_checkpoint("scratch@dropout") as second:
            second.save("seed-0", {"weights": np.arange(3.0)})
        first.save("seed-1", {"weights": np.arange(3.0)})
        assert first.load("seed-1") is not None
    begin_and_die()
    assert is_found()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fitgap/training/trainer.py", "epochs = 2"),
        ("data/prepared/labels.npy", "01234"),
        ("params.yaml", PARAMS.replace("0.3", "0.4")),
        ("params.yaml", PARAMS.replace("[0, 1]", "[0, 2]")),
    ],
)
def test_changed_input_begins_anew(name, text, repository):
    begin_and_die()
    (repository / name).write_text(text)
    assert not is_found()


def test_other_variants_and_byte_code_do_not_matter(repository):
    begin_and_die()
    (repository / "params.yaml").write_text(PARAMS.replace("baseline: {}", "baseline: {}\n  l1: {l1: 0.1}"))
    (repository / "fitgap/training/__pycache__").mkdir()
    (repository / "fitgap/training/__pycache__/trainer.pyc").write_text("x")
    assert is_found()
    assert not is_found("scratch@baseline")


def test_data_count_by_content_not_by_size_and_time(repository):
    path = repository / "data/prepared/labels.npy"
    os.utime(path, (0, 0))
    begin_and_die()
    path.write_text(path.read_text())
    assert is_found()
    path.write_text("3210")
    os.utime(path, (0, 0))
    assert not is_found()


def test_copy_of_the_repository_finds_it(repository, tmp_path, monkeypatch):
    begin_and_die()
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns("checkpoints"))
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(repository))
    assert is_found()


def test_incomplete_file_is_not_loaded(tmp_path):
    (tmp_path / ".seed-0.pickle.1234").write_bytes(b"PK")
    assert Checkpoint(tmp_path).load("seed-0") is None


def test_expired_checkpoint_is_deleted(repository):
    begin_and_die()
    (old,) = (repository / "checkpoints").iterdir()
    expired = time.time() - checkpoints.EXPIRY - 1
    os.utime(old, (expired, expired))
    assert not is_found()


def test_checkpoint_of_another_stage_that_ends_meanwhile_does_not_matter(repository):
    """It is listed, and gone when it is looked at."""
    folder = repository / "checkpoints"
    folder.mkdir(exist_ok=True)
    (folder / "scratch@gone-0123").symlink_to(folder / "nowhere")
    with checkpoints.open_checkpoint("scratch@dropout") as checkpoint:
        assert checkpoint.folder.is_dir()


def test_trained_model_survives_the_round_trip(tensorflow, tmp_path):
    from fitgap.training.trainer import TrainedModel

    history = pd.DataFrame({"epoch": [1, 2], "val_loss": [np.nan, 0.1]})
    model = TrainedModel([np.ones((2, 3), np.float32), np.zeros(0, np.float32)], history, 7, 1.5, 2.5)
    model = replace(model, probabilities=np.ones((3, 4, 2), np.float32))
    Checkpoint(tmp_path).save("seed-0", model)
    again = Checkpoint(tmp_path).load("seed-0")
    pd.testing.assert_frame_equal(again.history, history, check_exact=True)
    assert (again.updates, again.seconds, again.images_per_second) == (7, 1.5, 2.5)
    assert [weights.tobytes() for weights in again.weights] == [weights.tobytes() for weights in model.weights]
