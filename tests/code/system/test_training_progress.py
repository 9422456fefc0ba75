"""Test what a training shows of itself in a file."""

import io

import pytest

from fitgap.system import progress
from fitgap.system.progress import TrainingProgress


@pytest.fixture
def file(monkeypatch) -> io.StringIO:
    """What is written, with a line for every epoch."""
    file, shown = io.StringIO(), progress.Progress
    monkeypatch.setattr("fitgap.system.progress.EVERY", 0)
    monkeypatch.setattr(progress, "Progress", lambda **options: shown(**options, file=file))
    return file


def test_a_line_says_seed_epoch_losses_gap_and_time_left(file):
    rows = []
    watched = TrainingProgress("scratch@dropout", [4, 7], 3, rows.append)
    for _ in range(2):
        watched.add_epoch({"train_loss": 0.5, "val_loss": 0.75})
    assert (
        file.getvalue()
        .splitlines()[-1]
        .startswith(
            "scratch@dropout: 2 of 6 epochs, seed 1 of 2, training loss 0.500, validation loss 0.750, gap +0.250, 00:0"
        )
    )
    assert [row["seed"] for row in rows] == [4, 4]


def test_a_seed_from_a_checkpoint_counts_as_a_whole(file):
    rows = []
    watched = TrainingProgress("scratch@dropout", [4, 7], 3, rows.append)
    watched.end_seed()
    watched.add_epoch({"train_loss": 0.5, "val_loss": 0.75})
    assert "4 of 6 epochs, seed 2 of 2" in file.getvalue().splitlines()[-1]
    watched.end_seed()
    assert "6 of 6 epochs" in file.getvalue()
    assert rows == [{"train_loss": 0.5, "val_loss": 0.75, "seed": 7}]
