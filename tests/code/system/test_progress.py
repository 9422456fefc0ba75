"""Test what progress looks like in a file."""

import io

import pytest

from fitgap.system import progress
from fitgap.system.progress import Progress, TrainingProgress


@pytest.fixture
def lines_of(monkeypatch):
    """Return the lines of a work in which each item takes some seconds."""

    def lines_of(seconds: float, losses: list[float]) -> list[str]:
        now, file = [0.0], io.StringIO()
        monkeypatch.setattr("tqdm.std.time", lambda: now[0])
        bar = Progress(losses, "scratch@dropout", unit="seeds", file=file)
        for loss in bar:
            now[0] += seconds
            bar.set_postfix_str(f"loss {loss}", refresh=False)
        return [line for line in file.getvalue().split("\n") if line]

    return lines_of


def test_long_work_writes_a_line_now_and_then(lines_of):
    lines = lines_of(40, [0.5, 0.4, 0.3, 0.2, 0.1])
    assert lines == [
        "scratch@dropout: 2 of 5 seeds, loss 0.4, 02:00 left",
        "scratch@dropout: 4 of 5 seeds, loss 0.2, 00:40 left",
    ]
    assert lines_of(1, [0.5, 0.4]) == []  # short work


@pytest.fixture
def every_epoch(monkeypatch) -> io.StringIO:
    """What a training writes, with a line for every epoch."""
    file, shown = io.StringIO(), progress.Progress
    monkeypatch.setattr(progress, "EVERY", 0)
    monkeypatch.setattr(progress, "Progress", lambda **options: shown(**options, file=file))
    return file


def test_a_line_says_seed_epoch_losses_gap_and_time_left(every_epoch):
    rows = []
    watched = TrainingProgress("scratch@dropout", [4, 7], 3, rows.append)
    for epoch in (1, 2):
        watched.add_epoch({"epoch": epoch, "train_loss": 0.5, "val_loss": 0.75})
    line = "scratch@dropout: 2 of 6 epochs, seed 1 of 2, training loss 0.500, validation loss 0.750, gap +0.250, 00:0"
    assert every_epoch.getvalue().splitlines()[-1].startswith(line)
    assert [row["seed"] for row in rows] == [4, 4]


def test_a_seed_from_a_checkpoint_counts_as_a_whole(every_epoch):
    rows = []
    watched = TrainingProgress("scratch@dropout", [4, 7], 3, rows.append)
    watched.end_seed()
    watched.add_epoch({"epoch": 1, "train_loss": 0.5, "val_loss": 0.75})
    assert "4 of 6 epochs, seed 2 of 2" in every_epoch.getvalue().splitlines()[-1]
    watched.end_seed()
    assert "6 of 6 epochs" in every_epoch.getvalue()
    assert rows == [{"epoch": 1, "train_loss": 0.5, "val_loss": 0.75, "seed": 7}]
