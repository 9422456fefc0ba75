"""Test weight and classifier files: valid ones are read, invalid ones raise a one-line error."""

import zipfile

import h5py
import numpy as np
import pytest

from fitgap.backbone import user_weights
from fitgap.system.errors import UserError

SHAPES = user_weights.expected_shapes()


@pytest.fixture(scope="module")
def arrays() -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return [tuple(random.normal(size=shape).astype(np.float32) for shape in shapes) for shapes in SHAPES.values()]


def keras3(path, arrays, extra=None):
    with h5py.File(path, "w") as file:
        for i, pair in enumerate(arrays):
            for j, array in enumerate(pair):
                file[f"layers/conv2d{f'_{i}' if i else ''}/vars/{j}"] = array
        for name in extra or []:
            file[f"layers/{name}/vars/0"] = np.zeros((2, 2), np.float32)
    return path


def legacy(path, arrays):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in SHAPES)]
        file.create_group("input_1").attrs["weight_names"] = []
        for name, pair in zip(SHAPES, arrays, strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            for kind, array in zip("Wb", pair, strict=True):
                group[f"{name}_{kind}_1:0"] = array
    return path


@pytest.mark.parametrize("write", [keras3, legacy])
def test_both_of_kerass_layouts_are_read(write, arrays, tmp_path):
    found = user_weights.read_weights(write(tmp_path / "w.h5", arrays))
    assert list(found) == list(SHAPES)
    for pair, read in zip(arrays, found.values(), strict=True):
        assert all(np.array_equal(array, one) for array, one in zip(pair, read, strict=True))


def test_what_keras_itself_writes_is_read(tensorflow, tmp_path):
    from fitgap.networks import vgg16

    base = vgg16.convolutional_base(None, 32)
    base.save_weights(tmp_path / "base.weights.h5")
    for name in ("base.h5", "base.keras"):
        base.save(tmp_path / name)
    for file in ("base.weights.h5", "base.h5", "base.keras"):
        found = user_weights.read_weights(tmp_path / file)
        assert list(found) == list(SHAPES)
        for name, pair in found.items():
            assert all(np.array_equal(a, b) for a, b in zip(pair, base.get_layer(name).get_weights(), strict=True))


def test_another_archive_is_not_taken_for_a_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="an archive without model.weights.h5"):
        user_weights.read_weights(tmp_path / "w.keras")


def swapped(arrays, index, pair):
    return [*arrays[:index], pair, *arrays[index + 1 :]]


BAD = {
    "text": (lambda path, arrays: path.write_text("no weights"), "not readable as an HDF5"),
    "empty": (lambda path, arrays: path.write_bytes(b""), "not readable as an HDF5"),
    "cut off": (lambda path, arrays: path.write_bytes(keras3(path, arrays).read_bytes()[:-5000]), "not readable"),
    "HDF5 without weights": (lambda path, arrays: h5py.File(path, "w").close(), "layer block1_conv1: missing"),
    "fewer layers": (lambda path, arrays: keras3(path, arrays[:7]), "layer block3_conv3.*|layer block4_conv1: missing"),
    "other filters": (
        lambda path, arrays: keras3(path, swapped(arrays, 3, (np.zeros((3, 3, 128, 64)), np.zeros(64)))),
        r"layer block2_conv2: holds conv2d_3 with \(3, 3, 128, 64\) and \(64,\); VGG16 has \(3, 3, 128, 128\)",
    ),
    "grey input": (
        lambda path, arrays: keras3(path, swapped(arrays, 0, (np.zeros((3, 3, 1, 64)), np.zeros(64)))),
        r"layer block1_conv1: holds conv2d with \(3, 3, 1, 64\)",
    ),
    "no bias": (
        lambda path, arrays: keras3(path, swapped(arrays, 5, (np.zeros((3, 3, 256, 256)),))),
        "layer block3_conv2: holds conv2d_5",
    ),
    "not a number": (
        lambda path, arrays: keras3(path, swapped(arrays, 2, (arrays[2][0] * np.nan, arrays[2][1]))),
        "layer block2_conv1: holds numbers that are not finite",
    ),
    "with top": (lambda path, arrays: keras3(path, arrays, ["dense", "dense_1"]), "include_top=False"),
}


@pytest.mark.parametrize("name", BAD)
def test_file_that_does_not_fit_says_which_layer_differs(name, arrays, tmp_path):
    write, said = BAD[name]
    write(tmp_path / "w.h5", arrays)
    with pytest.raises(UserError, match=said) as raised:
        user_weights.read_weights(tmp_path / "w.h5")
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "w.h5") in str(raised.value)


def saved(path, **changes):
    held = {"kernel": np.zeros((512, 3), np.float32), "bias": np.zeros(3, np.float32), "names": ["a", "b", "c"]}
    np.savez(path, **{name: value for name, value in (held | changes).items() if value is not None})


BAD_CLASSIFIERS = {
    "no kernel": ({"kernel": None}, "no 'kernel'"),
    "no names": ({"names": None}, "no 'names'"),
    "other features": ({"kernel": np.zeros((2048, 3))}, r"kernel: has the shape \(2048, 3\); needed: \(512, 3\)"),
    "too few biases": ({"bias": np.zeros(2)}, r"bias: has the shape \(2,\)"),
    "too few ids": ({"wnids": ["n1", "n2"]}, r"wnids: has the shape \(2,\)"),
    "pickled names": ({"names": np.array(["a", "b", None], dtype=object)}, "not readable as arrays"),
}


@pytest.mark.parametrize("name", BAD_CLASSIFIERS)
def test_classifier_that_does_not_fit_gets_one_line(name, tmp_path):
    changes, said = BAD_CLASSIFIERS[name]
    saved(tmp_path / "c.npz", **changes)
    with pytest.raises(UserError, match=said):
        user_weights.read_classifier(tmp_path / "c.npz", 32)


def test_classifier_needs_the_features_of_its_image_size(tmp_path):
    saved(tmp_path / "c.npz")
    assert user_weights.read_classifier(tmp_path / "c.npz", 32).names == ["a", "b", "c"]
    with pytest.raises(UserError, match=r"needed: \(2048, 3\).*data.image_size 64"):
        user_weights.read_classifier(tmp_path / "c.npz", 64)


def test_folder_of_weights_is_searched(tmp_path):
    (tmp_path / "w.h5").touch()
    assert user_weights.find_files(tmp_path) == (tmp_path / "w.h5", None)
    saved(tmp_path / "c.npz")
    assert user_weights.find_files(tmp_path) == (tmp_path / "w.h5", tmp_path / "c.npz")


def test_file_of_weights_takes_no_classifier_from_beside_it(tmp_path):
    """It may be another network's: its answers would look like way 1's and be noise."""
    for name in ("mine.h5", "other.h5"):
        (tmp_path / name).touch()
    saved(tmp_path / "other.npz")
    assert user_weights.find_files(tmp_path / "mine.h5") == (tmp_path / "mine.h5", None)


@pytest.mark.parametrize(
    ("files", "said"),
    [([], "needs one .h5 file, holds none"), (["a.h5", "b.h5"], "a.h5, b.h5"), (["a.h5", "a.npz", "b.npz"], "at most")],
)
def test_folder_that_leaves_it_open_gets_one_line(files, said, tmp_path):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=said):
        user_weights.find_files(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=r"backbone\.path.*not found"):
        user_weights.find_files(tmp_path / "nowhere")
