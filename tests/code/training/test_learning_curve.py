"""Test a point of the learning curve: the chosen models, as they were trained, with the same recipe at every size."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic_results as synthetic

from fitgap.data.record import Record
from fitgap.networks.storage import StoredBackbone
from fitgap.pipeline.checkpoints import Checkpoint

SEEDS = [0, 1]


@pytest.mark.parametrize(
    ("size", "usual", "batch", "passes"),
    [(20, 100, 20, 5), (10, 100, 20, 5), (50, 100, 20, 2), (400, 100, 20, 1), (100, 110, 25, 2), (30, 100, 200, 1)],
)
def test_no_size_has_fewer_updates_or_epochs(tensorflow, size, usual, batch, passes):
    from fitgap.training.learning_curve import count_passes

    assert count_passes(size, usual, batch) == passes


@pytest.fixture
def point(tensorflow, tmp_path):
    """Both ways with 20 training images instead of 100; params.yaml has other settings than the chosen models."""
    from fitgap.training.learning_curve import BothWays

    was = {"seeds": SEEDS, "scratch.filters": [4], "scratch.epochs": 3, "head.epochs": 2, "head.dense_units": 8}
    was |= {"data.train_images": 100, "learning_curve.repetitions": 2, "head.batch_size": 50}
    params = synthetic.params(**was)
    records = {
        way: [Record(family, "dropout", params.model(family, "dropout").recorded, {}).to_dict()]
        for way, family in {"scratch": "scratch", "borrowed": "head"}.items()
    }
    choice = Record("choice", None, {}, {}, contestants=records)
    images, random = synthetic.prepared(), np.random.default_rng(0)
    (tmp_path / "cells").mkdir()
    np.save(tmp_path / "cells/block5_pool.npy", random.normal(size=(len(images.images), 1, 1, 512)).astype(np.float32))
    now = synthetic.params(**{"seeds": SEEDS, "learning_curve.repetitions": 2, "data.train_images": 100})
    backbone = StoredBackbone(tmp_path, {"weights": "none", "digest": "0"})
    return BothWays(now, 20, choice, images, backbone, tmp_path)


def test_chosen_models_are_trained_as_they_were_with_the_same_recipe(point, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    result = point.run(SEEDS, Checkpoint(tmp_path / "checkpoint"), lambda row: None).result
    assert result.record.ways == ["scratch", "borrowed"]
    assert result.record.params["scratch"] == "scratch@dropout" and result.record.params["train_images"] == 20
    assert result.test_probabilities.shape == (2, 2, 400, 10)
    assert result.history["scratch_updates"].tolist() == [3 * 100 / 20] * 2
    assert result.history["borrowed_updates"].tolist() == [2 * 100 / 50] * 2
    assert sorted(path.stem for path in (tmp_path / "checkpoint").glob("seed-*")) == ["seed-0", "seed-1"]


def test_usual_size_and_a_choice_of_nothing_are_not_trained(point):
    assert point.obstacle is None
    assert "is this size" in replace(point, size=100).obstacle.record.not_applicable
    nothing = replace(point, choice=replace(point.choice, not_applicable="nothing is borrowed"))
    assert nothing.obstacle.record.not_applicable == "nothing is borrowed"
