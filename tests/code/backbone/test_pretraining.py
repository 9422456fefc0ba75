"""Test pre-training: it learns, is bitwise reproducible, and yields a plain VGG16."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fitgap.definitions.determinism import start_tensorflow
from fitgap.pipeline.checkpoints import Checkpoint

SMALL = {"batch_size": 8, "learning_rate": 0.001}
PROGRAM = """
from fitgap.definitions.determinism import start_tensorflow
start_tensorflow(0)
import test_pretraining
print(test_pretraining.digest_of_a_small_training())
"""


@pytest.fixture(scope="module", autouse=True)
def tensorflow_started():
    start_tensorflow(0)


@pytest.fixture(scope="module")
def network():
    """Return a network with batch normalisation parameters far from their initial 1, 0, 0, 1."""
    from fitgap.networks import batch_normalised

    random = np.random.default_rng(0)
    network = batch_normalised.build_batch_normalised(32, 5, seed=0)
    for layer in network.layers:
        if layer.name.endswith("_norm"):
            gamma, beta, mean, variance = (weight.shape for weight in layer.get_weights())
            layer.set_weights(
                [
                    random.uniform(0.5, 1.5, gamma),
                    random.normal(0, 0.3, beta),
                    random.normal(0, 0.3, mean),
                    random.uniform(0.5, 2.0, variance),
                ]
            )
    return network


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)


def sides(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a task that a few updates suffice for: which half of a noisy image is bright."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    images = random.integers(0, 60, (count, 32, 32, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 16 * label : 16 * label + 16] += 150
    return images, labels


def nothing_kept() -> Checkpoint:
    """Return an empty checkpoint; a training this short writes none."""
    return Checkpoint(Path("nowhere"))


def digest_of_a_small_training() -> str:
    """Hash the weights after two updates."""
    from fitgap.backbone import pretraining

    trained, _ = pretraining.pretrain(
        *sides(16, seed=0), 2, pretraining.PretrainingSettings(**SMALL), 7, nothing_kept()
    )
    return hashlib.sha256(b"".join(weight.tobytes() for weight in trained.get_weights())).hexdigest()


def preprocessed(images: np.ndarray) -> np.ndarray:
    import keras

    return keras.applications.vgg16.preprocess_input(images.astype(np.float32))


def test_folding_keeps_the_function_and_leaves_the_network_alone(network, images):
    from fitgap.networks import batch_normalised

    before = network.get_weights()
    base, kernel, bias = batch_normalised.fold_batch_norm(network)
    expected = network(images, training=False).numpy()
    features = base(preprocessed(images)).numpy().reshape(len(images), -1)
    assert features.shape[1] == kernel.shape[0] == 512
    np.testing.assert_allclose(features @ kernel + bias, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_folded_answers_are_the_networks_own(network, images):
    from fitgap.backbone import pretraining
    from fitgap.networks import batch_normalised

    original = images.copy()
    answers = pretraining.folded_answers(*batch_normalised.fold_batch_norm(network), images)
    np.testing.assert_array_equal(answers, network(images, training=False).numpy().argmax(axis=1))
    np.testing.assert_array_equal(images, original)


def test_keras_loads_the_folded_weights_as_its_own_vgg16(network, images, tmp_path):
    import keras

    from fitgap.networks import batch_normalised

    base, _, _ = batch_normalised.fold_batch_norm(network)
    base.save_weights(tmp_path / "notop.weights.h5")
    loaded = keras.applications.VGG16(
        include_top=False, weights=str(tmp_path / "notop.weights.h5"), input_shape=(32, 32, 3)
    )
    features = base(preprocessed(images)).numpy()
    assert features.std() > 0
    np.testing.assert_array_equal(loaded(preprocessed(images)).numpy(), features)


def test_it_learns_and_tells_how():
    from fitgap.backbone import pretraining
    from fitgap.networks import batch_normalised

    settings = pretraining.PretrainingSettings(**SMALL)
    network, history = pretraining.pretrain(*sides(323, seed=0), 2, settings, 0, nothing_kept())
    assert list(history.columns) == ["images_seen", "loss", "accuracy"]
    assert history["images_seen"].tolist() == list(range(8, 321, 8))  # the three left over make no batch
    assert history["loss"].tail(5).mean() < 0.5 * history["loss"].head(5).mean()
    assert history["accuracy"].tail(5).mean() > 0.9
    unseen, truth = sides(64, seed=1)
    assert (pretraining.folded_answers(*batch_normalised.fold_batch_norm(network), unseen) == truth).mean() > 0.9


def test_another_process_arrives_at_the_same_bits():
    here = digest_of_a_small_training()
    command = [sys.executable, "-c", PROGRAM]
    there = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=__file__.rpartition("/")[0], env=environment()
    )
    assert there.stdout.strip() == here


def test_killed_and_taken_up_again_it_arrives_at_the_same_bits(tmp_path, monkeypatch):
    from fitgap.backbone import pretraining

    settings, task = pretraining.PretrainingSettings(**SMALL), sides(48, seed=0)
    whole, history = pretraining.pretrain(*task, 2, settings, 7, nothing_kept())
    monkeypatch.setattr(pretraining, "SAVE_EVERY", 0.0)
    kept, save, saved = Checkpoint(tmp_path), Checkpoint.save, []

    def save_and_die(self, name, arrays):
        save(self, name, arrays)
        saved.append(len(arrays["measured"]))
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain(*task, 2, settings, 7, kept)
    again, second = pretraining.pretrain(*task, 2, settings, 7, kept)
    assert saved == [1, 2, 3, 4, 5, 6]  # nothing was learned twice
    assert second.equals(history)
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def environment() -> dict[str, str]:
    """Return environment variables with which another process finds the same packages as this one."""
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_initial_weights_depend_on_seed_and_layer_name_alone():
    from fitgap.networks import batch_normalised

    first, again = (
        batch_normalised.build_batch_normalised(32, 5, seed=0),
        batch_normalised.build_batch_normalised(64, 9, seed=0),
    )
    other = batch_normalised.build_batch_normalised(32, 5, seed=1)
    name = "block5_conv2"
    (kernel,), (same,), (different,) = (model.get_layer(name).get_weights() for model in (first, again, other))
    np.testing.assert_array_equal(kernel, same)
    assert (kernel != different).any()
    assert (kernel != first.get_layer("block5_conv3").get_weights()[0]).any()


def test_fewer_images_than_a_batch_are_refused():
    from fitgap.backbone import pretraining

    with pytest.raises(ValueError, match="batch_size must be <="):
        pretraining.pretrain(*sides(7, seed=0), 2, pretraining.PretrainingSettings(**SMALL), 0, nothing_kept())


def test_reduced_precision_keeps_float32_weights_and_answers():
    from fitgap.networks import batch_normalised

    network = batch_normalised.build_batch_normalised(32, 5, seed=0, policy="mixed_bfloat16")
    assert network.get_layer("block3_conv1").compute_dtype == "bfloat16"
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert network.outputs[0].dtype == "float32"
