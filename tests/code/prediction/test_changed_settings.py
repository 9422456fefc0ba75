"""Test which settings count as changed since a training."""

import pytest

from fitgap.data.record import Record, Result
from fitgap.params.reading import load_params
from fitgap.prediction.trained_models import TrainedModels


@pytest.mark.parametrize("layer", ["block1_pool", "block3_pool"])
def test_a_value_that_trials_chose_among_candidates_has_not_changed(repository, layer):
    models, params = TrainedModels(repository), load_params(repository / "params.yaml")
    recorded = params.model("head", "best_block", {"layer": layer, "learning_rate": 0.0006}).recorded
    assert models.changed_settings(Result(Record("head", "best_block", recorded, {}))) == []
    other = Record("head", "best_block", recorded | {"learning_rate": 0.5, "epochs": 1}, {})
    assert models.changed_settings(Result(other)) == ["epochs", "learning_rate"]
