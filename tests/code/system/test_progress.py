"""Test what progress looks like in a file."""

import io

import pytest

from fitgap.system.progress import Progress


class Clock:
    """A clock that moves when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def written(clock: Clock, seconds: float, losses: list[float]) -> list[str]:
    """Return the lines of a work in which each item takes `seconds`."""
    file = io.StringIO()
    bar = Progress(losses, "scratch@dropout", unit="seeds", file=file)
    for loss in bar:
        clock.now += seconds
        bar.set_postfix_str(f"loss {loss}", refresh=False)
    return [line for line in file.getvalue().split("\n") if line]


def test_long_work_writes_a_line_now_and_then(clock):
    lines = written(clock, 20, [0.5, 0.4, 0.3, 0.2])
    assert lines[0] == "scratch@dropout: 2 of 4 seeds, loss 0.4, 00:40 left"
    assert lines[-1] == "scratch@dropout: 4 of 4 seeds, loss 0.2, 00:00 left"
    assert not any("\r" in line for line in lines)


def test_short_work_writes_nothing(clock):
    assert written(clock, 1, [0.5, 0.4]) == []
