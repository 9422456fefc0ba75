"""Test that a precision which is slow on this machine causes a warning before the work."""

import pytest


@pytest.fixture
def weight_sources(tensorflow):
    from fitgap.backbone import weight_sources

    return weight_sources


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_gradients_can_be_timed(weight_sources, name):
    assert 0 < weight_sources.measure_slowdown(name) < float("inf")


@pytest.mark.parametrize(("times", "lines"), [(20.0, 1), (0.6, 0), (1.3, 0)])
def test_only_a_slow_one_is_warned_of(weight_sources, monkeypatch, capsys, times, lines):
    monkeypatch.setattr(weight_sources, "measure_slowdown", lambda name: times)
    weight_sources.warn_if_slower("bfloat16")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    assert all("compute.precision: bfloat16" in line and "20 times" in line and "float32" in line for line in told)


def test_float32_is_not_timed(weight_sources, monkeypatch, capsys):
    monkeypatch.delattr(weight_sources, "measure_slowdown")
    weight_sources.warn_if_slower("float32")
    assert capsys.readouterr().err == ""
