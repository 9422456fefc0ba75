"""Test a killed experiment: finished seeds are not trained again, and the result is the same."""

import numpy as np
import pytest

from fitgap.definitions.families import FAMILIES
from fitgap.params.reading import load_params
from fitgap.params.schema import ModelSpec
from fitgap.params.sections import Training
from fitgap.params.variants import Variant
from fitgap.pipeline.checkpoints import Checkpoint

SEEDS = [3, 4, 5]
SCHEDULE = Training(epochs=3, batch_size=8, learning_rate=0.01)


@pytest.fixture(scope="module")
def described(tensorflow, repository):
    from fitgap.networks import architectures
    from fitgap.training.experiment import Experiment

    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    inputs = rng.normal(labels[:, None], 1.5, (60, 5)).astype(np.float32)

    def parts(seed: int) -> dict[str, np.ndarray]:
        pool = np.random.default_rng(seed).permutation(45)
        return {"train": np.sort(pool[:30]), "validation": np.sort(pool[30:]), "test": np.arange(45, 60)}

    head = load_params(repository / "params.yaml").head
    remedies = Variant(dropout=0.4, batch_norm=True)
    return Experiment(
        model=ModelSpec(FAMILIES["head"], "x", remedies, SCHEDULE, head, {"seeds": SEEDS}),
        inputs={},
        classes=["a", "b", "c"],
        draw=lambda seed: {name: (inputs[rows], labels[rows]) for name, rows in parts(seed).items()},
        build=lambda seed: architectures.build_classifier((5,), 3, head, remedies, seed),
        blank=lambda: architectures.build_classifier((5,), 3, head, remedies, 0),
    )


def test_seeds_that_were_trained_are_taken_over_to_the_bit(described, tmp_path, monkeypatch):
    from fitgap.training import trainer

    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    calm = described.run(SEEDS, Checkpoint(tmp_path / "calm"))
    train, trained = trainer.Trainer.train, []

    def train_until_killed(self, start, training, validation, seed, on_epoch, **options):
        if len(trained) == 2:
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(seed)
        return train(self, start, training, validation, seed, on_epoch, **options)

    monkeypatch.setattr(trainer.Trainer, "train", train_until_killed)
    with pytest.raises(KeyboardInterrupt):
        described.run(SEEDS, Checkpoint(tmp_path / "killed"))
    again = described.run(SEEDS, Checkpoint(tmp_path / "killed"))
    assert trained == [3, 4, "killed", 5]
    assert again.result.fingerprint == calm.result.fingerprint
    assert again.result.test_probabilities.tobytes() == calm.result.test_probabilities.tobytes()
    for seed in SEEDS:
        ours, theirs = (outcome.repetitions[seed].weights for outcome in (again, calm))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def test_each_seed_trains_and_is_measured_on_its_own_images(described, tmp_path):
    outcome = described.run(SEEDS, Checkpoint(tmp_path))
    for place, seed in enumerate(SEEDS):
        measured = outcome.result.seeds.loc[seed]
        network, splits = outcome.network_of(seed), described.draw(seed)
        for split, name in (("train", "train_loss_best"), ("validation", "val_loss_best")):
            logits = network(splits[split][0], training=False).numpy().astype(np.float64)
            loss = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), splits[split][1]]
            assert measured[name] == pytest.approx(loss.mean(), rel=1e-4)
        answers = outcome.result.test_probabilities[place].argmax(axis=-1)
        assert measured["test_accuracy"] == pytest.approx((answers == splits["test"][1]).mean())
