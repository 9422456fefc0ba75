"""Test the counts, the race and the page of `make bench`; its timings are not tested."""

import os

import numpy as np
import pytest

from bench import page, pipeline, race
from fitgap.params.reading import load_params


def test_multiply_adds_are_those_of_vgg16(tensorflow):
    """15.3 billion at 224x224, as it is usually counted; a 49th of that at 32x32."""
    from bench.arithmetic import forward
    from fitgap.networks.vgg16 import convolutional_base

    assert (
        sum(forward(convolutional_base(None, 224))) == 15_346_630_656 == 49 * sum(forward(convolutional_base(None, 32)))
    )


def test_multiply_adds_of_the_pipeline_are_those_of_its_networks(tensorflow, repository):
    from bench import arithmetic
    from fitgap.backbone import weight_sources

    params, base = load_params(repository / "params.yaml"), 313_196_544
    counts = arithmetic.pipeline(params, {"train": 100, "validation": 200, "test": 897, "all": 1797}, classes=10)
    assert arithmetic.HELD_OUT == weight_sources.HELD_OUT
    assert counts["backbone"] == (3 * params.backbone.glyphs.images + arithmetic.HELD_OUT) * base
    assert counts["features"] == 1797 * base
    head = 512 * 256 + 256 * 10
    repetitions, trials = 20 * (40 * (4 * 100 + 200) + 3 * 897), (10 + 5 + 3) * 40 * (3 * 100 + 200)
    block1 = (1024 + 64) * 10  # the first candidates of best_block and best_block_average
    assert counts["head"] == (repetitions + trials) * (9 * head + block1)  # augmentation has no head


def test_ratios_are_taken_within_a_round():
    """The machine is three times as slow in the second round; the ratio does not see it."""
    rows = seconds_of(fitgap=[10.0, 30.0, 10.0], other=[20.0, 90.0, 20.0])
    assert race.times_as_fast(rows, "other") == (2.0, 2.0, 3.0)
    assert race.medians(rows) == {"fitgap": 10.0, "other": 20.0}


def seconds_of(**contestants: list[float]) -> race.Rows:
    return [
        {"round": number, "contestant": name, "seconds": each, "multiply_adds": 2 * 10**9}
        for name, seconds in contestants.items()
        for number, each in enumerate(seconds)
    ]


def test_contestants_run_in_turn_in_processes_of_their_own():
    rows = race.race({"a": make_pass, "b": make_pass}, rounds=2, title="test")
    assert [row["contestant"] for row in rows] == ["a", "b", "b", "a"]
    assert len({row["process"] for row in rows} - {os.getpid()}) == 2
    assert [row["calls"] for row in rows] == [2, 2, 3, 3]  # the first one warms up


def make_pass() -> race.Pass:
    calls: list[int] = []
    return race.timed(lambda: calls.append(1), lambda _: {"process": os.getpid(), "calls": len(calls)})


@pytest.mark.parametrize("peer", ["keras_predict", "pytorch", "onnx_runtime", "openvino"])
def test_frozen_bases_compute_the_same(tensorflow, tmp_path, monkeypatch, peer):
    modules = {"pytorch": ["torch"], "onnx_runtime": ["torch", "onnxruntime"], "openvino": ["torch", "openvino"]}
    for module in modules.get(peer, []):
        pytest.importorskip(module)
    from bench import base
    from fitgap.backbone.features import FrozenBase

    monkeypatch.setattr(base, "IMAGES", {32: 4})
    monkeypatch.setattr(base, "BATCHES", {32: (4,)})
    base.write_weights(weights := tmp_path / "vgg16_notop.weights.h5")
    expected = FrozenBase(weights, 32, {base.TOP: base.TOP}).activations(base.images(32))[base.TOP][0].ravel()
    answer = np.array(getattr(base, peer)(weights, 32)()["answer"])
    assert np.linalg.norm(answer - expected) < 1e-5 * np.linalg.norm(expected)


def test_wholly_frozen_and_cached_trainings_have_the_same_trained_weights(tensorflow, repository):
    from bench import arithmetic, trainings

    params = load_params(repository / "params.yaml")
    for family, name in (("head", "baseline"), ("finetune", "block5_conv3")):
        whole, cached = (make(params, family, name) for make in (trainings._whole_vgg16, trainings._builder))
        assert arithmetic.forward(whole)[1] == arithmetic.forward(cached())[1]


@pytest.fixture
def measured() -> dict:
    """What bench/measured.json holds, with made-up numbers."""
    comparison = {"what": "a pass", "images": 100, "rows": seconds_of(fitgap=[1.0, 1.0], PyTorch=[2.0, 3.0])}
    heads = {"what": "heads", "trainings": 10, "rows": seconds_of(fitgap=[1.0, 1.0], notebook=[30.0, 60.0])}
    return {
        "rounds": 2,
        "machine": "a processor, 2 cores",
        "base": [{**comparison, "difference": 1.5e-6}],
        "trainings": [heads],
        "gains": [{"what": "kernels", "rows": seconds_of(fitgap=[1.0], without=[1.25])}],
        "pipeline": {
            "seconds": 400.0,
            "core_seconds": 600.0,
            "cores": 2,
            "nothing": 2.0,
            "images": 1000,
            "multiply_adds": {"head": 7 * 10**11},
            "families": [{"family": "head", "stages": 2, "start": 9.0, "work": 14.0}],
        },
    }


def test_page_shows_what_was_measured(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    page.write(measured)
    text = page.PAGE.read_text()
    assert "> a processor, 2 cores" in text
    assert "| a pass | 1 s | PyTorch | 2.5 s | **2.5** (2–3) | 2 : 2 |" in text
    # Ten heads and ten times the images of a pass against ten heads in the notebook way.
    assert (
        "| **the whole experiment**: 10 trainings | 20 s | the notebook way | 450 s | **22.5** (15–30) | 40 : 20 |"
        in text
    )
    assert "by at most 2e-06 of their length" in text
    assert "| kernels | 1 s | 1.25 s | **1.25** (1.25–1.25) |" in text
    assert "**400 s** for 0.7 trillion multiply-adds" in text
    assert "busy for 75% of the time (600 s of a core)" in text
    assert "| `head` | 2 | 9 | 14 | 100% | 700 | 50 |" in text


def test_stages_are_summed_by_family(tmp_path):
    for number, stage in enumerate(("head@l1", "head@l2", "features")):
        text = f'{{"stage": "{stage}", "start_seconds": 2.0, "work_seconds": {number + 1}.0}}'
        (tmp_path / f"{number}.json").write_text(text)
    assert pipeline.by_family(tmp_path) == [
        {"family": "features", "stages": 1, "start": 2.0, "work": 3.0},
        {"family": "head", "stages": 2, "start": 4.0, "work": 3.0},
    ]
