"""Test the counts and the page of `make bench`; its timings are not tested."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest

from bench import (
    arithmetic,
    extraction,
    kernels,
    notebook,
    page,
    pipeline,
    preparing,
    scheduling,
    side_by_side,
    training,
)
from fitgap.images.sources import picture_files
from fitgap.params.reading import load_params
from fitgap.system.trees import list_tree


def test_multiply_adds_are_those_of_vgg16():
    """15.3 billion at 224x224, as it is usually counted; a 49th of that at 32x32."""
    assert arithmetic.vgg16(224) == 15_346_630_656
    assert arithmetic.vgg16(224) == 49 * arithmetic.vgg16(32)
    assert arithmetic.update("block5") == pytest.approx({"whole": 369.8, "upper": 84.9, "ratio": 4.35}, rel=1e-2)


def test_multiply_adds_of_the_pipeline_are_those_of_its_networks(tensorflow, repository):
    from fitgap.backbone import weight_sources

    chosen = load_params(repository / "params.yaml")
    counts = arithmetic.pipeline(chosen, {"train": 100, "validation": 200, "test": 897, "all": 1797}, classes=10)
    assert arithmetic.notes_network(32, [32], 16, 10) == 32 * 32 * 9 * (3 + 32) * 32 + 16 * 16 * 32 * 16 + 16 * 10
    assert counts["backbone"] == (3 * chosen.backbone.glyphs.images + weight_sources.HELD_OUT) * arithmetic.vgg16(32)
    assert counts["features"] == 1797 * arithmetic.vgg16(32)
    assert counts["highrate"] * len(chosen.variants) == counts["scratch"] * len(chosen.highrate.variants)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_zeros_beyond_the_border_are_those_that_a_padded_map_has(side):
    padded = np.pad(np.ones((side, side), int), 1)
    assert arithmetic.taps(side, with_zeros=False) == np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).sum()
    assert arithmetic.taps(side) == 9 * side**2


def test_ratios_are_taken_within_a_round():
    """The machine is three times as slow in the second round; the ratio does not see it."""
    rows = [(0, "a", 30.0), (0, "b", 10.0), (1, "a", 10.0), (1, "b", 5.0), (2, "a", 30.0), (2, "b", 15.0)]
    measured = pd.DataFrame(rows, columns=["round", "contestant", "rate"])
    assert side_by_side.ratio(measured, "rate", "a", "b") == 2.0
    assert side_by_side.medians(measured, "rate").to_dict() == {"a": 30.0, "b": 10.0}


def test_contestants_run_in_processes_of_their_own_in_turn():
    contestants = [side_by_side.Contestant(name, _pass, (("WHO", name),)) for name in ("a", "b")]
    measured = side_by_side.race(contestants, 2, "test")
    assert measured["contestant"].tolist() == ["a", "b", "b", "a"]
    assert measured["process"].nunique() == 2
    assert measured.groupby("contestant")["calls"].max().tolist() == [2, 2]


def _pass():
    import os

    calls = []

    def once():
        calls.append(os.environ["WHO"])
        return {"process": os.getpid(), "calls": len(calls)}

    return once


def test_heats_share_the_rounds_and_have_processes_of_their_own():
    measured = side_by_side.race([side_by_side.Contestant("a", _pass, (("WHO", "a"),))], 3, "test", heats=2)
    assert sorted(measured["round"]) == [0, 1, 2]
    assert measured["process"].nunique() == 2
    assert measured["calls"].max() == 2


def test_onednn_is_taken_at_its_word():
    line = "onednn_verbose,v1,primitive,exec,cpu,{},{},forward_training,src:f32::blocked:acdb::f0,,,mb2,{}"
    written = [
        line.format("convolution", "before", 99),
        kernels.BEGIN,
        line.format("reorder", "jit:uni", 10),
        line.format("convolution", "brg_conv_fwd", 70).replace("primitive,", "12.5,primitive,"),
        line.format("convolution", "jit", 3),
        line.format("inner_product", "brgemm", 2),
        "onednn_verbose,v1,primitive,create:cache_hit,cpu,convolution,none,forward,,,,mb2,99",
        line.format("pooling", "jit:uni", 10),
        kernels.END,
        line.format("convolution", "after", 99),
    ]
    shares = kernels.account(kernels.executed("\n".join(written)), seconds=0.1)
    expected = {"convolution": 0.75, "reorder": 0.1, "pooling": 0.1, "rest": 0.05}
    assert {name: shares[name] for name in expected} == pytest.approx(expected)
    assert shares["kernel"] == "brg_conv_fwd"


def test_directions_of_an_update_are_told_apart():
    written = [
        kernels.BEGIN,
        *(
            f"onednn_verbose,v1,primitive,exec,cpu,{kind},jit,{direction},src:f32,,,mb2,64"
            for kind, direction in (
                ("convolution", "forward_training"),
                ("convolution", "backward_data"),
                ("convolution", "backward_weights"),
                ("convolution", "backward_weights"),
                ("gemm_api", "undef"),
                ("reorder", "undef"),
            )
        ),
        kernels.END,
    ]
    count = training.EPOCHS * training.TRAINING / training.BATCH
    spent = kernels.of_an_update(kernels.executed("\n".join(written)))
    expected = {"forward": 1, "of_inputs": 1, "of_kernels": 2, "dense": 1, "reorder": 1, "pooling": 0}
    assert spent == pytest.approx({name: times * 0.064 / count for name, times in expected.items()})


def test_what_is_neither_work_nor_import_is_overhead():
    kept = pd.DataFrame({"work_seconds": [1.0, 50.0, 30.0, 0.0]}, index=["prepare", "backbone", "head@l1", "report"])
    assert pipeline.shares(100.0, kept, imports=4.0) == {"work": 80.0, "imports": 8.0, "rest": 12.0}


@pytest.fixture
def found() -> dict:
    """Synthetic measurements of `make bench`: contestants listed later are slower."""
    rows = [
        {
            "round": number,
            "contestant": name,
            "images_per_second": 700.0 / place,
            "first_batch_seconds": 1.5,
            "megabytes": 1234.0,
        }
        for number in (0, 1)
        for place, name in ((1, "fitgap"), (1, extraction.CONSTANTS), (2, "PyTorch"))
    ]
    products = [
        {"round": number, "contestant": "NumPy products", "multiply_adds_per_second": 1.4e11} for number in (0, 1)
    ]
    both = [
        {"round": 0, "contestant": name, "seconds": seconds, "extraction": 3.0, "training": seconds, "epoch": seconds}
        for name, seconds in (("fitgap", 2.0), ("notebook", 9.0))
    ]
    finetune = [*both, {"round": 0, "contestant": notebook.CONVOLUTIONS, "training": 3.0, "epoch": 3.0}]
    shares = {"convolution": 0.97, "reorder": 0.015, "pooling": 0.01, "rest": 0.005, "kernel": "brgconv"}
    update = {**dict.fromkeys(kernels.OF_UPDATES, 0.0), "forward": 0.02, "all": 0.05}
    summary = {"test_accuracy": {"head@l2": 0.875}, "work_seconds": {"backbone": 61.5}}
    return {
        "rounds": 2,
        "apart": ["growth"],
        "machine": "a processor, 2 cores",
        "extraction": [
            {
                "size": 32,
                "precision": "float32",
                "multiply_adds": 2 * 10**8,
                "measured": [*rows, *products],
                "kernels": {"fitgap": shares},
            }
        ],
        "training": {
            "measured": [{**row, "epoch": 2.5, "evaluation": 0.75} for row in rows],
            "kernels": {"fitgap": update, "PyTorch": {**update, "all": 0.07}},
        },
        "notebook": {"heads": both, "finetune": finetune, "finetune_many": finetune, "largest_difference": 2.5e-6},
        "pipeline": {
            "seconds": 400.0,
            "cores": 2,
            "core_seconds": 620.0,
            "side_by_side": {"seconds": 325.0, "core_seconds": 610.0},
            "import_seconds": {"stages": 2.5, "plainly": 3.5},
            "shares": {"work": 300.0, "imports": 60.0, "rest": 40.0},
            "stages": [
                {"stage": "head@l2", "start_seconds": 4.0, "work_seconds": 6.0},
                {"stage": "head@l1", "start_seconds": 5.0, "work_seconds": 7.0},
            ],
            "multiply_adds": {"head": 7 * 10**11},
            "without_zeros": {"head": 56 * 10**10},
            "nothing": 1.5,
            "nothing_many": 4.5,
            "of_nothing": {"start": 0.1, "read": 0.2, "params": 0.15, "files": 0.22, "locks": 0.25},
        },
        "precision": {"differences": {"block5_pool": 0.0025}, "float32": summary, "bfloat16": summary},
        "growth": [{"images": 2500, "stage": "prepare", "seconds": 7.5, "megabytes": 300.0}],
        "scheduling": [
            {"stages": 50, "repro": 20.0, "repro_nothing": 1.5, "nothing": 2.5}
            | {f"at_once_{places}": 100.0 + places for places in scheduling.PLACES}
        ],
    }


def test_stages_without_work_run_in_any_number_at_once(tmp_path):
    small = scheduling.write(tmp_path, count=4)
    small.run(sys.executable, "-c", scheduling.SCHEDULER.format(2))
    assert {path.stem for path in tmp_path.glob("*.txt")} == {"first", "stage-0", "stage-1", "last"}
    small.forget()
    assert list(tmp_path.glob("*.txt")) == []


def test_page_shows_what_was_measured(found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    page.write(found)
    text = (tmp_path / "performance.md").read_text()
    assert "Measured in a run of its own: growth." in text
    assert "| PyTorch | 350.0 | 2.00 (2.00–2.00) |" in text
    assert "`make repro` takes 325 s, and `dvc repro` 400 s" in text
    assert "| 32x32, float32 | fitgap | 97.0% | 1.5% | 1.0% | 0.5% | `brgconv` |" in text
    assert "| 32x32, float32 | 1.5 s | 1.5 s | 1,234 MB | 1,234 MB |" in text
    assert "imports of TensorFlow itself (2.5 s a process)" in text
    assert "with convolutions throughout would take 3.000 s (100 images) and 3.000 s (2,000 images): on" in text
    assert "1.00 of the machine's rate in products (NumPy products), 2.00 of the fastest peer (PyTorch)" in text
    assert "| 162 s | 2.0 s | 81.0 |" in text  # 18 heads of 9 s against all of ours
    assert "| everything else: DVC, MLflow, reading, writing, `prepare`, `report` | 40 | 10% |" in text
    assert "| `head` | 2 | 4.5 | 13.0 | 5.0 |" in text
    assert "0.7 trillion multiply-adds in it, 0.6 without" in text
    assert "needs 4 s, before" in text
    assert "| fitgap | 20.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 30.0 |" in text
    assert "| 50 | 20.0 s | 102.0 s | 108.0 s | 116.0 s | 1.5 s | 2.5 s |" in text
    assert "an update would be 3.50 times as fast" in text
    assert "4.5 s with 50 variants" in text
    assert "25% for locks" in text
    assert "| 2,500 | `prepare` | 7.5 | 300 MB |" in text


def test_ways_to_prepare_pictures_give_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "COUNT", 20)
    preparing.draw(tmp_path)
    results = []
    for kind, way in itertools.product(preparing.KINDS, (preparing.decode_one_by_one, preparing.decode_files)):
        with picture_files.unpacked(tmp_path / kind, kind) as folder:
            files = [picture_files.PictureFile(name, folder / name) for name in list_tree(folder)[0]]
            results.append([(picture.name, picture.pixels.tobytes()) for picture in way(files, 32)])
    assert len(results[0]) == 20
    assert all(result == results[0] for result in results)


def test_page_shows_pictures_if_they_were_measured(found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    rows = [
        {"round": number, "contestant": name, "pictures_per_second": rate * (number + 1), "megabytes": 240.0}
        for number in range(3) for name, rate in ((preparing.THREADS, 300.0), (preparing.ONE, 200.0))
    ]  # fmt: skip
    page.write({**found, "preparing": {"zip": rows}})
    assert "| zip | 400 | 600 | 1.50 (1.50–1.50) | 240 MB | 240 MB |" in page.PAGE.read_text()
    page.write(found)
    assert "## Pictures" not in page.PAGE.read_text()


def test_page_shows_a_cluster_if_it_was_measured(found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    stages = [{"nodes": 0, "seconds": 20.0}, {"nodes": 2, "seconds": 25.0}]
    simulated = [{"workers": 50, "tasks": 200, "ideal": 40, "first": 50.0, "again": 41.0, "nothing": 2.0}]
    page.write({**found, "cluster": {"stages": stages, "simulated": simulated}})
    text = page.PAGE.read_text()
    assert "| without Ray | 20.0 | 1.00 |" in text and "| 2 | 25.0 | 1.25 |" in text
    assert "| 50 | 200 | 50.0 s | 80% | 41.0 s | 98% | 10 ms each |" in text
    page.write({**found, "cluster": {}})
    assert "## On a cluster" not in page.PAGE.read_text()


def test_page_of_a_processor_without_bfloat16(found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    page.write({**found, "precision": {"differences": {"block5_pool": 0.0025}, "slowdown": 23.4}})
    text = (tmp_path / "performance.md").read_text()
    assert "0.0025 (block5_pool)" in text
    assert "23 times as long" in text
    assert "`head@l2`, test accuracy" not in text
