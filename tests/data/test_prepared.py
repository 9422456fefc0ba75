"""Test prepared images: the shipped default, prepared anew, and the content of data/prepared/."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest

from fitgap.data import prepared
from fitgap.data.draws import draw_rows
from fitgap.params.reading import load_params


@pytest.fixture(scope="module")
def made_afresh(repository, tmp_path_factory):
    """The folder that the stage leaves with the params that ship."""
    from stages import prepare

    folder = tmp_path_factory.mktemp("prepared")
    shutil.copy(repository / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        prepare.main()
    return folder / "data/prepared"


@pytest.fixture(scope="module", params=["made afresh", "in data/prepared"])
def folder(request, repository):
    if request.param == "made afresh":
        return request.getfixturevalue("made_afresh")
    if not (repository / "data/prepared/prepared.json").exists():
        pytest.skip("nothing stands in data/prepared: the pipeline has not run here")
    return repository / "data/prepared"


@pytest.fixture(scope="module")
def images(folder):
    return prepared.read_prepared(folder)


@pytest.fixture(scope="module")
def manifest(folder):
    return pd.read_csv(folder / "manifest.csv", dtype={"class": str})


def test_images_are_rgb_bytes_on_disk(images):
    assert isinstance(images.images, np.memmap)
    assert (images.images.dtype, images.images.ndim, images.images.shape[3]) == (np.uint8, 4, 3)
    assert images.images.shape[1] == images.images.shape[2] == images.about["image_size"]


def test_images_use_the_range_of_bytes(images):
    assert images.images.min() <= 10
    assert images.images.max() >= 245


def test_every_class_is_in_every_part_with_its_share(images):
    shares = np.bincount(images.labels) / len(images.labels)
    for name, rows in images.rows.items():
        if rows.stop == rows.start:
            continue
        counts = np.bincount(images.part(name)[1], minlength=len(images.class_names))
        assert (counts > 0).all()
        np.testing.assert_allclose(counts, shares * counts.sum(), atol=1)


def test_no_image_stands_in_two_parts(manifest):
    assert (manifest.groupby("sha256")["part"].nunique() == 1).all()


def test_manifest_tells_the_truth_about_every_row(images, manifest):
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images.images]
    assert manifest["sha256"].tolist() == hashes
    assert manifest["label"].tolist() == images.labels.tolist()
    assert manifest["class"].tolist() == [images.class_names[label] for label in images.labels]
    for name, rows in images.rows.items():
        assert set(manifest["part"][rows]) <= {name}
    assert [sum(rows.stop - rows.start for rows in images.rows.values())] == [len(manifest)]
    assert manifest["name"].is_unique


def test_default_sizes(made_afresh):
    images = prepared.read_prepared(made_afresh)
    assert {name: rows.stop - rows.start for name, rows in images.rows.items()} == {
        "pool": 900,
        "validation": 0,
        "test": 897,
    }


def test_repetitions_of_the_default_draw_images_of_their_own(made_afresh, repository):
    images, chosen = prepared.read_prepared(made_afresh), load_params(repository / "params.yaml")
    drawn = [draw_rows(images, chosen.data, seed) for seed in chosen.seeds]
    for rows in drawn:
        assert (len(rows["train"]), len(rows["validation"]), len(rows["test"])) == (100, 200, 897)
        assert set(np.bincount(images.labels[rows["train"]])) == {10}
        assert not set(rows["train"]) & set(rows["validation"])
    assert len({rows["train"].tobytes() for rows in drawn}) == len(drawn)


def test_digits_are_scikit_learns(made_afresh, manifest):
    from sklearn.datasets import load_digits

    digits, images = load_digits(), prepared.read_prepared(made_afresh)
    names = pd.read_csv(made_afresh / "manifest.csv")["name"]
    for row in (0, 150, 1700):
        index = int(names[row].removeprefix("digits/"))
        small = images.images[row][2::4, 2::4, 0] / 255 * 16
        assert np.abs(small - digits.images[index]).mean() < 1.5
        assert images.labels[row] == digits.target[index]
