"""Test a killed experiment: finished seeds are not trained again, and the result is the same."""

import numpy as np
import pytest

from fitgap.definitions.families import FAMILIES
from fitgap.params.reading import load_params
from fitgap.params.schema import ModelSpec, Training, Variant
from fitgap.pipeline.checkpoints import Checkpoint

SEEDS = [3, 4, 5]


@pytest.fixture(scope="module")
def described(tensorflow, repository):
    from fitgap.networks import architectures
    from fitgap.training.experiment import Experiment

    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    inputs = rng.normal(labels[:, None], 1.5, (60, 5)).astype(np.float32)
    parts = {"train": slice(0, 30), "validation": slice(30, 45), "test": slice(45, 60)}
    head = load_params(repository / "params.yaml").head
    remedies = Variant(dropout=0.4, batch_norm=True)
    return Experiment(
        model=ModelSpec(FAMILIES["head"], "x", remedies, Training(epochs=3, batch_size=8, learning_rate=0.01), {}),
        inputs={},
        classes=["a", "b", "c"],
        splits={name: (inputs[rows], labels[rows]) for name, rows in parts.items()},
        build=lambda seed: architectures.build_classifier((5,), 3, head, remedies, seed),
    )


def test_seeds_that_were_trained_are_taken_over_to_the_bit(described, tmp_path, monkeypatch):
    from fitgap.training import experiment, trainer

    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    calm = experiment.run_experiment(described, SEEDS, Checkpoint(tmp_path / "calm"))
    train, trained = trainer.Trainer.train, []

    def train_until_killed(self, start, training, validation, seed):
        if len(trained) == 2:
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(seed)
        return train(self, start, training, validation, seed)

    monkeypatch.setattr(trainer.Trainer, "train", train_until_killed)
    with pytest.raises(KeyboardInterrupt):
        experiment.run_experiment(described, SEEDS, Checkpoint(tmp_path / "killed"))
    again = experiment.run_experiment(described, SEEDS, Checkpoint(tmp_path / "killed"))
    assert trained == [3, 4, "killed", 5]
    assert again.result.fingerprint == calm.result.fingerprint
    assert again.result.test_probabilities.tobytes() == calm.result.test_probabilities.tobytes()
    for seed in SEEDS:
        ours, theirs = (outcome.trained[seed].weights for outcome in (again, calm))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))
