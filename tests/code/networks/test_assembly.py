"""Test whole networks: cached features equal the frozen layers, and exports equal the trained networks."""

import keras
import numpy as np
import pytest
import synthetic_results as synthetic

from fitgap.params.sections import Training
from fitgap.params.variants import Variant

PARAMS = synthetic.params().model_copy(update={"variants": {"baseline": Variant(l2=0.01)}})
SCHEDULE = Training(epochs=2, batch_size=8, learning_rate=1e-4)
pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def assembly(tensorflow, repository, tmp_path_factory):
    """Networks over random base weights; heads with every remedy, so that each is put to the test."""
    from fitgap.networks import vgg16
    from fitgap.networks.assembly import Assembly

    keras.utils.set_random_seed(0)  # whatever other tests have drawn before
    weights = tmp_path_factory.mktemp("backbone") / "vgg16.weights.h5"
    vgg16.convolutional_base(None, 32).save_weights(weights)
    return Assembly(32, 10, weights)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), np.arange(24) % 10


@pytest.fixture(scope="module")
def trained_head(assembly, tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / "seed-0.weights.h5"
    assembly.build(PARAMS.model("head", "baseline"), 5).save_weights(path)
    return path


def fine_tuned(assembly, depth, trained_head) -> keras.Model:
    """The network of a depth on a trained head."""
    model = PARAMS.model("finetune", depth)
    return assembly.build(model, 0, lambda head, seed: head.load_weights(trained_head))


def whole_with_frozen_layers(assembly, depth, trained_head) -> keras.Model:
    """The tutorial's way: the whole network, its lower layers frozen, run anew at every step."""
    from fitgap.definitions.vgg16_layers import freeze_point
    from fitgap.networks import vgg16

    upper = fine_tuned(assembly, depth, trained_head)
    frozen = vgg16.frozen_layers(assembly.backbone, 32, freeze_point(depth))
    images = keras.Input((32, 32, 3), dtype="uint8")
    return keras.Model(images, vgg16.apply_layers([*frozen, *upper.layers[1:]], images))


def relative_difference(one, other) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.parametrize("depth", ["block5", "block5_conv3"])
def test_training_on_cached_features_equals_training_the_whole_network(assembly, examples, trained_head, depth):
    from fitgap.definitions.vgg16_layers import freeze_point
    from fitgap.networks import vgg16
    from fitgap.training.trainer import Trainer

    images, labels = examples
    whole = whole_with_frozen_layers(assembly, depth, trained_head)
    frozen_before = [w.numpy() for w in whole.non_trainable_weights]
    upper = fine_tuned(assembly, depth, trained_head)
    start = [weight.numpy() for weight in upper.trainable_weights]
    point = freeze_point(depth)
    features = vgg16.frozen_base(assembly.backbone, 32, [point])(images)[point].numpy()
    for network, inputs in ((whole, images), (upper, features)):
        trainer = Trainer(network, SCHEDULE)
        trainer.train(network, (inputs, labels), (inputs, labels), seed=0)
    ends = [weight.numpy() for weight in upper.trainable_weights]
    moved = [relative_difference(w, s) for w, s in zip(ends, start, strict=True) if s.any()]
    assert min(moved) > 1e-4, "nothing was trained, so nothing was compared"
    for ours, theirs in zip(upper.trainable_weights, whole.trainable_weights, strict=True):
        assert ours.name == theirs.name
        assert relative_difference(ours.numpy(), theirs.numpy()) < 1e-4, ours.path
    for before, after in zip(frozen_before, whole.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after.numpy())


def test_fine_tuning_starts_from_the_trained_head_and_the_stored_base(assembly, trained_head):
    from fitgap.networks import vgg16

    upper = fine_tuned(assembly, "block5", trained_head)
    head = assembly.build(PARAMS.model("head", "baseline"), 5)
    base = vgg16.convolutional_base(assembly.backbone, 32)
    for name in ("dense", "logits"):
        np.testing.assert_array_equal(upper.get_layer(name).kernel, head.get_layer(name).kernel)
    for name in ("block5_conv1", "block5_conv3"):
        np.testing.assert_array_equal(upper.get_layer(name).kernel, base.get_layer(name).kernel)
    assert len(upper.losses) == 2  # the head's remedies stay


@pytest.mark.parametrize(("family", "name"), [("scratch", "baseline"), ("head", "baseline"), ("finetune", "block5")])
def test_exported_model_takes_raw_images_and_answers_as_the_parts_do(assembly, examples, tmp_path, family, name):
    from fitgap.definitions.vgg16_layers import freeze_point
    from fitgap.networks import vgg16

    images = examples[0]
    network = assembly.build(PARAMS.model(family, name), 3)
    network.save_weights(tmp_path / "seed-3.weights.h5")
    below = {"head": "block5_pool", "finetune": freeze_point("block5")}.get(family)
    inputs = vgg16.frozen_base(assembly.backbone, 32, [below])(images)[below] if below else images
    logits = network(inputs, training=False).numpy()
    parts = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    whole = assembly.whole(PARAMS.model(family, name), tmp_path / "seed-3.weights.h5")
    whole.save(tmp_path / "whole.keras")
    loaded = keras.saving.load_model(tmp_path / "whole.keras", safe_mode=True)
    assert (loaded.input.dtype, loaded.input_shape, loaded.output_shape) == ("uint8", (None, 32, 32, 3), (None, 10))
    np.testing.assert_allclose(loaded.predict(images, verbose=0), parts, rtol=1e-3, atol=1e-6)
