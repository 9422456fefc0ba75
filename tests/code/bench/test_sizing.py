"""Settings are tried inside the pool alone, and runs are compared verdict by verdict."""

import json

import numpy as np
import synthetic_results as synthetic

from bench import agreement, sizing, verdicts


def test_only_images_of_the_pool_are_used():
    images = synthetic.prepared()
    inner, pool = sizing.inside_the_pool(images), images.rows["pool"]
    assert len(inner.labels) == pool.stop - pool.start
    whole = {image.tobytes() for image in images.images[pool]}
    assert all(image.tobytes() in whole for image in inner.images)


def test_inner_parts_are_disjoint_and_have_all_classes():
    inner = sizing.inside_the_pool(synthetic.prepared())
    drawn, tested = (inner.part(name) for name in ("pool", "test"))
    assert not {image.tobytes() for image in drawn[0]} & {image.tobytes() for image in tested[0]}
    assert set(np.unique(drawn[1])) == set(np.unique(tested[1])) == set(range(len(inner.class_names)))


def test_seeds_are_not_the_shipped_ones():
    assert not set(sizing.SEEDS) & set(synthetic.params().seeds)


def test_verdicts_are_counted_and_opposites_named(tmp_path, capsys):
    runs = {"first": ["supported", "contradicted", "inconclusive"], "other": ["supported", "supported", "inconclusive"]}
    for name, found in runs.items():
        claims = [{"id": f"claim{number}", "verdict": verdict} for number, verdict in enumerate(found)]
        (tmp_path / name).write_text(json.dumps(claims))
    verdicts.main(*(str(tmp_path / name) for name in runs))
    out = capsys.readouterr().out
    assert "| 2 of 3 (67%) | 1 | claim1 |" in out
    assert "claim1: contradicted; supported" in out


def test_halves_of_the_seeds_are_judged_on_their_own():
    seeds, images = list(range(100, 108)), synthetic.prepared()
    variants = synthetic.params().variants
    results = [synthetic.model("scratch", name, images, seeds) for name in variants]
    half = agreement.select_seeds(results[0], seeds[::2])
    assert list(half.seeds.index) == seeds[::2]
    assert set(half.history["seed"]) == set(seeds[::2])
    assert np.array_equal(half.test_probabilities, results[0].test_probabilities[::2])
    told = agreement.describe(synthetic.params(seeds=seeds), results, images, seeds)
    assert "dropout_gap_below_baseline" in told
    assert "finetune" not in told  # only models from scratch are trained
    assert "mean: halves agree" in told
