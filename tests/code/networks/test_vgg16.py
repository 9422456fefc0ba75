"""Test VGG16: layer names, shapes and parameter counts equal Keras's, and preprocessing is bitwise equal."""

import numpy as np
import pytest

from fitgap.definitions import vgg16_layers
from fitgap.pipeline.checkpoints import Checkpoint


@pytest.fixture(scope="module")
def weights(tensorflow, tmp_path_factory):
    """Random weights in Keras's notop format."""
    from fitgap.networks import vgg16

    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    vgg16.convolutional_base(None, 32).save_weights(path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def test_names_shapes_and_counts_are_kerass(tensorflow):
    kerass_own = tensorflow.keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert [layer.name for layer in kerass_own.layers[1:]] == list(vgg16_layers.LAYERS)
    for place, name in enumerate(vgg16_layers.LAYERS, start=1):
        below = kerass_own.layers[: place + 1]
        assert vgg16_layers.activation_shape(name, 64) == below[-1].output.shape[1:]
        assert vgg16_layers.count_parameters(name) == sum(layer.count_params() for layer in below)


@pytest.mark.parametrize(
    ("depth", "point"),
    [("block5", "block4_pool"), ("block4", "block3_pool"), ("block5_conv3", "block5_conv2"), ("block1", "image")],
)
def test_freeze_point_is_the_layer_below(depth, point):
    assert vgg16_layers.freeze_point(depth) == point


def test_preprocessing_is_kerass_to_the_bit_and_changes_nothing_in_place(tensorflow, images):
    import keras

    from fitgap.networks import vgg16

    before = images.copy()
    ours = vgg16.apply_layers(vgg16.preprocessing_layers(), tensorflow.constant(images)).numpy()
    theirs = keras.applications.vgg16.preprocess_input(images.astype(np.float32))
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(images, before)


def test_one_pass_gives_every_layer_that_keras_gives(tensorflow, weights, images):
    import keras

    from fitgap.networks import vgg16

    tops = ["image", "block3_pool", "block4_conv2", "block5_pool"]
    ours = vgg16.frozen_base(weights, 32, tops)(images)
    theirs = keras.applications.VGG16(include_top=False, weights=str(weights), input_shape=(32, 32, 3))
    x = keras.applications.vgg16.preprocess_input(images.astype(np.float32))
    np.testing.assert_array_equal(ours["image"], x)
    for name in tops[1:]:
        part = keras.Model(theirs.input, theirs.get_layer(name).output)
        np.testing.assert_allclose(ours[name], part(x), rtol=1e-4, atol=1e-4 * np.abs(part(x)).max())


def test_extraction_writes_what_the_base_gives_whatever_the_batch(tensorflow, weights, images, tmp_path, monkeypatch):
    from fitgap.backbone import features
    from fitgap.networks import vgg16

    files = features.feature_files(["block5_pool"], ["block5", "block4_conv2"])
    assert files == {"block5_pool": "block5_pool", "below_block5": "block4_pool", "below_block4_conv2": "block4_conv1"}
    monkeypatch.setattr(features, "BATCH", 2)
    shapes, rows = extract(images, weights, files, Checkpoint(tmp_path))
    assert rows == len(images)
    whole = vgg16.frozen_base(weights, 32, files.values())(images)
    for name, layer in files.items():
        written = np.load(tmp_path / f"{name}.npy")
        assert written.shape == shapes[name] == whole[layer].shape
        np.testing.assert_allclose(written, whole[layer], rtol=1e-4, atol=1e-4 * np.abs(written).max())


@pytest.mark.parametrize("size", [32, 48, 64])
def test_heads_and_probes_see_the_means_of_at_most_sixteen_cells(tensorflow, weights, size):
    from fitgap.backbone import features
    from fitgap.networks import vgg16

    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    files = features.feature_files(["block2_pool", "block5_pool"], ["block3"])
    seen = features.FrozenBase(weights, size, files).activations(images)
    whole = vgg16.frozen_base(weights, size, ["block2_pool"])(images)["block2_pool"].numpy()
    side = size // 16
    cells = whole.reshape(2, 4, side, 4, side, 128).mean(axis=(2, 4))
    np.testing.assert_allclose(seen["block2_pool"], cells, rtol=1e-4, atol=1e-4 * np.abs(cells).max())
    np.testing.assert_allclose(seen["below_block3"], whole, rtol=1e-4, atol=1e-4 * np.abs(whole).max())
    assert seen["block5_pool"].shape[1:] == features.file_shape("block5_pool", "block5_pool", size)


def test_bfloat16_gives_float32_files_that_are_close_and_changes_nothing_else(tensorflow, weights, images, tmp_path):
    import keras

    from fitgap.backbone import features

    files = features.feature_files(["block5_pool"], ["block5"])
    for precision in ("float32", "bfloat16"):
        (tmp_path / precision).mkdir()
        extract(images, weights, files, Checkpoint(tmp_path / precision), precision)
    assert keras.config.dtype_policy().name == "float32"
    for name in files:
        exact, rounded = (np.load(tmp_path / precision / f"{name}.npy") for precision in ("float32", "bfloat16"))
        assert exact.dtype == rounded.dtype == np.float32
        distance = np.linalg.norm(exact - rounded) / np.linalg.norm(exact)
        assert 1e-4 < distance < 0.05, name  # bfloat16 keeps 8 bits: each rounding is off by up to 0.4%


def test_extraction_goes_on_where_a_killed_one_ended_and_takes_batches_in_any_order(
    tensorflow, weights, images, tmp_path, monkeypatch
):
    from fitgap.backbone import features

    files = features.feature_files(["block5_pool"], ["block5"])
    monkeypatch.setattr(features, "BATCH", 4)
    many = np.concatenate([images] * 4)[:11]
    base = features.FrozenBase(weights, 32, files)
    whole, killed = (Checkpoint(tmp_path / name) for name in ("whole", "killed"))
    for checkpoint in (whole, killed):
        checkpoint.folder.mkdir()
    extract(many, weights, files, whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(features, "write_rows", stop_at(4, features.write_rows))
        extract(many, weights, files, killed)
    _, rows = features.extract_features(many, files, killed, passes(base, many, -1))
    assert rows == 11 - 4  # one whole batch was written before
    for name in files:
        first, second = ((tmp_path / folder / f"{name}.npy").read_bytes() for folder in ("whole", "killed"))
        assert first == second


def test_a_kill_after_the_files_were_made_anew_leaves_no_rows_of_zeros(
    tensorflow, weights, images, tmp_path, monkeypatch
):
    """One file is gone, as after a kill between the stage's two moves; then a kill before the first batch."""
    from fitgap.backbone import features

    files, checkpoint = features.feature_files(["block5_pool"], ["block5"]), Checkpoint(tmp_path)
    extract(images, weights, files, checkpoint)
    whole = {name: (tmp_path / f"{name}.npy").read_bytes() for name in files}
    (tmp_path / "block5_pool.npy").unlink()
    monkeypatch.setattr(features, "BATCH", 4)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(features, "write_rows", stop_at(0, features.write_rows))
        extract(images, weights, files, checkpoint)
    _, rows = extract(images, weights, files, checkpoint)
    assert rows == len(images)
    for name, first in whole.items():
        again = np.load(tmp_path / f"{name}.npy")
        assert (tmp_path / f"{name}.npy").read_bytes()[:128] == first[:128]
        assert again.any(axis=tuple(range(1, again.ndim))).all()


def extract(images, weights, files, checkpoint, precision="float32"):
    """Extract all features of the images, as the stage does on one machine."""
    from fitgap.backbone import features

    base = features.FrozenBase(weights, images.shape[1], files, precision)
    return features.extract_features(images, files, checkpoint, passes(base, images))


def passes(base, images, step: int = 1):
    return lambda starts: ((start, base.activations_from(images, start)) for start in starts[::step])


def stop_at(row: int, write):
    """Write rows until those from `row` on; then end as a kill would, within the batch."""

    def written(path, start, rows):
        if start >= row:
            raise KeyboardInterrupt
        write(path, start, rows)

    return written
