"""A precision that this machine computes slowly gets a word of warning, before the work."""

import pytest


@pytest.fixture
def precision(tensorflow):
    from fitgap.backbone import precision

    return precision


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_gradients_can_be_timed(precision, name):
    assert 0 < precision.slowdown(name) < float("inf")


@pytest.mark.parametrize(("times", "lines"), [(20.0, 1), (0.6, 0), (1.3, 0)])
def test_only_a_slow_one_is_warned_of(precision, monkeypatch, capsys, times, lines):
    monkeypatch.setattr(precision, "slowdown", lambda name: times)
    precision.warn_if_slower("bfloat16")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    assert all("compute.precision: bfloat16" in line and "20 times" in line and "float32" in line for line in told)


def test_float32_is_not_timed(precision, monkeypatch, capsys):
    monkeypatch.delattr(precision, "slowdown")
    precision.warn_if_slower("float32")
    assert capsys.readouterr().err == ""
