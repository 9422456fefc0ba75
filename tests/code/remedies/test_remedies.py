"""Test the remedies: each acts only where declared, and a new one needs no other changes."""

from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from fitgap.params import variants
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.params.sections import Training
from fitgap.params.variants import SETTINGS, Variant
from fitgap.remedies import REMEDIES
from fitgap.remedies.remedy import Remedy

SCHEDULE = Training(epochs=2, batch_size=10, learning_rate=0.01)


@pytest.fixture(scope="module")
def cnn(tensorflow, repository):
    from fitgap.networks.architectures import build_cnn

    scratch = load_params(repository / "params.yaml").scratch.model_copy(update={"filters": [4], "dense_units": 8})
    return lambda seed=0, **keys: build_cnn(32, 3, scratch, Variant(**keys), seed)


@pytest.fixture(scope="module")
def examples():
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    images = random.integers(0, 100, (30, 32, 32, 3)).astype(np.uint8)
    images[np.arange(30), 5 + 8 * labels] = 255
    return images, labels


def trained(cnn, examples, **keys):
    from fitgap.training.trainer import Trainer

    trainer = Trainer(cnn(**keys), SCHEDULE, Variant(**keys).active)
    return trainer, trainer.train(cnn(**keys), examples, examples, seed=0)


def test_every_key_of_a_variant_is_that_of_one_remedy():
    keys = [key for remedy in REMEDIES for key in remedy.model_fields]
    assert len(keys) == len(set(keys))
    assert {*keys, *SETTINGS} == set(Variant.model_fields)


def test_a_bare_variant_has_none():
    assert Variant().active == []
    assert Variant(dropout=0.0, l1=0.0).active == []


@pytest.mark.parametrize(("keys", "suffix"), [({"shift": 0.2}, "shift"), ({"flip": "horizontal"}, "flip")])
def test_augmentation_changes_images_in_training_only(cnn, examples, keys, suffix):
    import keras

    network = cnn(**keys)
    seen = keras.Model(network.inputs, network.get_layer(f"image_{suffix}").output)
    plain = examples[0].astype(np.float32) / 255
    np.testing.assert_allclose(seen(examples[0], training=False), plain, atol=1e-6)
    assert np.abs(np.asarray(seen(examples[0], training=True)) - plain).max() > 0.1


def test_training_with_augmentation_gives_the_same_bits_again(cnn, examples):
    keys = {"shift": 0.2, "rotation": 0.1, "zoom": 0.2, "flip": "vertical"}
    first, again = (trained(cnn, examples, **keys)[1] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, again.weights, strict=True))


def test_label_smoothing_is_in_the_objective_and_not_in_the_measured_loss(cnn, examples):
    import tensorflow as tf

    labels, logits = np.array([0, 2]), np.array([[4.0, 0.0, -1.0], [0.5, 0.2, 3.0]], np.float32)
    smoothed = Variant(label_smoothing=0.3).active[0].loss()(labels, tf.constant(logits))
    targets = np.eye(3)[labels] * 0.7 + 0.1
    expected = -(targets * tf.nn.log_softmax(logits).numpy()).sum(axis=1)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-5)
    trainer, found = trained(cnn, examples, label_smoothing=0.3)
    last = found.history.iloc[-1]
    trainer.network.set_weights(found.weights)
    best = found.history.loc[found.history["val_loss"].idxmin(), "val_loss"]
    probabilities = trainer.evaluator.probabilities(examples[0])
    assert best == pytest.approx(-np.log(probabilities[np.arange(30), examples[1]]).mean(), rel=1e-4)
    assert last["objective"] > 0.3  # even a perfect answer costs something against smoothed targets


def test_weight_decay_shrinks_kernels_and_nothing_else(cnn):
    import keras

    network = cnn(weight_decay=5.0, batch_norm=True)
    optimizer = next(one for one in Variant(weight_decay=5.0).active).optimizer(0.01)
    optimizer.build(network.trainable_variables)
    before = [keras.ops.convert_to_numpy(weight) for weight in network.trainable_variables]
    optimizer.apply([keras.ops.zeros_like(w) for w in network.trainable_variables], network.trainable_variables)
    for weight, old in zip(network.trainable_variables, before, strict=True):
        factor = 1 - 0.01 * 5.0 if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), factor * old, rtol=1e-5)


def test_two_remedies_that_replace_the_same_are_refused_by_name(monkeypatch):
    class Other(Remedy):
        label_smoothing: float = 0.0

        def loss(self):
            return None

    monkeypatch.setattr(variants, "REMEDIES", (*REMEDIES, Other))
    with pytest.raises(ValidationError, match="LabelSmoothing and Other each replace the loss"):
        Variant(label_smoothing=0.1)


def test_a_variant_without_sense_in_a_family_has_no_model_there(repository):
    params = load_params(repository / "params.yaml")
    assert set(params.without_model) == {
        *("head@augment", "head@combined", "scratch@best_block", "scratch@best_block_average")
    }
    assert "cached features" in params.model("head", "augment").obstacle
    assert params.model("scratch", "augment").obstacle == ""


@pytest.mark.parametrize(
    ("keys", "key"), [({"shift": 0.6}, "shift"), ({"flip": "sideways"}, "flip"), ({"label_smoothing": 1.0}, "label")]
)
def test_limits_hold(keys, key):
    with pytest.raises(ValidationError, match=key):
        Variant(**keys)


def test_a_remedy_for_heads_alone_is_refused_or_left_out_elsewhere(repository, monkeypatch):
    class ForHeads(Remedy):
        families: ClassVar[tuple[str, ...]] = ("head",)
        reason: ClassVar[str] = "it acts on heads alone"

        dropout: float = 0.0

    monkeypatch.setattr(variants, "REMEDIES", (ForHeads,))
    tree = load_params(repository / "params.yaml").model_dump()
    tree["variants"] = {"baseline": {}, "odd": {"dropout": 0.5}}
    assert set(Params.model_validate(tree | {"highrate": tree["highrate"] | {"variants": []}}).without_model) == {
        "scratch@odd"
    }
    tree["highrate"]["variants"] = ["odd"]
    with pytest.raises(ValidationError, match="highrate.variants: 'odd' has no model here"):
        Params.model_validate(tree)
    tree["highrate"]["variants"], tree["finetune"]["head"] = [], "odd"
    with pytest.raises(ValidationError, match="no model can start from 'odd'"):
        Params.model_validate(tree)
