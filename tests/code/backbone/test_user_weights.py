"""Test weight and classifier files: valid ones are read, invalid ones raise a one-line error."""

import h5py
import keras_stand_ins
import numpy as np
import pytest

from fitgap.params.reading import load_params
from fitgap.system.errors import UserError


@pytest.fixture(scope="module")
def weight_sources(tensorflow):
    from fitgap.backbone import weight_sources

    return weight_sources


@pytest.fixture(scope="module")
def base(tensorflow):
    from fitgap.networks import vgg16

    return vgg16.convolutional_base(None, 32)


def test_what_keras_writes_is_read(weight_sources, base, tmp_path):
    base.save_weights(tmp_path / "base.weights.h5")
    for name in ("base.h5", "base.keras"):
        base.save(tmp_path / name)
    for path in tmp_path.iterdir():
        read = weight_sources.read_weights(path, 32).get_weights()
        assert all(np.array_equal(one, other) for one, other in zip(read, base.get_weights(), strict=True)), path.name


def test_published_layout_is_read(weight_sources, tmp_path):
    """Keras's published file has one group per layer, and lists the groups in attributes."""
    path = tmp_path / "vgg16.h5"
    keras_stand_ins.vgg16(path, {})
    read = weight_sources.read_weights(path, 32)
    with h5py.File(path) as file:
        for name in keras_stand_ins.convolutions():
            np.testing.assert_array_equal(read.get_layer(name).get_weights()[0], file[name][f"{name}_W_1:0"][:])


def test_whole_network_gives_its_convolutions(weight_sources, tensorflow, tmp_path):
    network = tensorflow.keras.applications.VGG16(weights=None, classes=3, input_shape=(32, 32, 3))
    network.save_weights(tmp_path / "whole.weights.h5")
    read = weight_sources.read_weights(tmp_path / "whole.weights.h5", 32)
    for name in keras_stand_ins.convolutions():
        for one, other in zip(*(model.get_layer(name).get_weights() for model in (read, network)), strict=True):
            np.testing.assert_array_equal(one, other)


def keras3(path, base, **changes):
    """Write weights as Keras 3 does, with other arrays at some keys such as conv2d_3/vars/0."""
    arrays = [layer.get_weights() for layer in base.layers if layer.get_weights()]
    pairs = {f"conv2d{f'_{i}' if i else ''}": pair for i, pair in enumerate(arrays)}
    values = {f"{name}_{part}": array for name, pair in pairs.items() for part, array in enumerate(pair)} | changes
    with h5py.File(path, "w") as file:
        for name, array in values.items():
            if array is not None:
                layer, _, part = name.rpartition("_")
                file[f"layers/{layer}/vars/{part}"] = array
    return path


BAD = {
    "text": (lambda path, base: path.write_text("no weights"), "file signature not found"),
    "cut off": (lambda path, base: path.write_bytes(keras3(path, base).read_bytes()[:-5000]), "truncated file"),
    "HDF5 without weights": (lambda path, base: h5py.File(path, "w").close(), "expected 2 variables"),
    "fewer layers": (lambda path, base: keras3(path, base, conv2d_12_0=None, conv2d_12_1=None), "block5_conv3"),
    "other filters": (
        lambda path, base: keras3(path, base, conv2d_3_0=np.zeros((3, 3, 128, 64)), conv2d_3_1=np.zeros(64)),
        r"block2_conv2.*\(3, 3, 128, 128\).*\(3, 3, 128, 64\)",
    ),
    "grey input": (lambda path, base: keras3(path, base, conv2d_0=np.zeros((3, 3, 1, 64))), r"\(3, 3, 1, 64\)"),
    "no bias": (lambda path, base: keras3(path, base, conv2d_5_1=None), "'block3_conv2' expected 2 variables"),
    "not a number": (
        lambda path, base: keras3(path, base, conv2d_2_1=np.full(128, np.nan)),
        "layer block2_conv1: holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_file_that_does_not_fit_gets_one_line(name, weight_sources, base, tmp_path):
    write, said = BAD[name]
    write(tmp_path / "w.weights.h5", base)
    with pytest.raises(UserError, match=said) as raised:
        weight_sources.read_weights(tmp_path / "w.weights.h5", 32)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "w.weights.h5") in str(raised.value)


def saved(path, **changes):
    arrays = {"kernel": np.zeros((512, 3), np.float32), "bias": np.zeros(3, np.float32), "names": ["a", "b", "c"]}
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})


BAD_CLASSIFIERS = {
    "no kernel": ({"kernel": None}, "kernel is not a file"),
    "no names": ({"names": None}, "0 names"),
    "other features": ({"kernel": np.zeros((2048, 3))}, r"kernel \(2048, 3\).*needed: kernel \(512, classes\)"),
    "too few biases": ({"bias": np.zeros(2)}, r"bias \(2,\)"),
    "too few ids": ({"wnids": ["n1", "n2"]}, "2 wnids"),
    "pickled names": ({"names": np.array(["a", "b", None], dtype=object)}, "allow_pickle"),
}


@pytest.mark.parametrize("name", BAD_CLASSIFIERS)
def test_classifier_that_does_not_fit_gets_one_line(name, weight_sources, tmp_path):
    changes, said = BAD_CLASSIFIERS[name]
    saved(tmp_path / "c.npz", **changes)
    with pytest.raises(UserError, match=said) as raised:
        weight_sources.read_classifier(tmp_path / "c.npz", 32)
    assert "\n" not in str(raised.value)


def load(weight_sources, path):
    params = load_params()
    backbone = params.backbone.model_copy(update={"weights": "path", "path": str(path)})
    return weight_sources.load_source(backbone, 32, params.compute)


def test_folder_is_searched_and_a_file_takes_no_classifier_from_beside_it(weight_sources, base, tmp_path):
    """That may be another network's: its answers would look like way 1's and be noise."""
    path = tmp_path / "w.weights.h5"
    base.save_weights(path)
    assert load(weight_sources, tmp_path).classifier is None
    saved(tmp_path / "c.npz")
    source = load(weight_sources, tmp_path)
    assert source.class_names == ["a", "b", "c"] and source.class_ids == [] and source.classifier[0].shape == (512, 3)
    assert load(weight_sources, path).classifier is None


@pytest.mark.parametrize("files", [[], ["a.h5", "b.h5"], ["a.h5", "a.npz", "b.npz"]])
def test_folder_that_leaves_it_open_gets_one_line(files, weight_sources, tmp_path):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"needs one .h5 file.*holds {', '.join(files) or 'none'}"):
        load(weight_sources, tmp_path)
