"""Test the features of the shipped default: general in lower layers, specialised in upper ones, useful in both.

Reads data/ from `make repro`; skips if that has not run or ran with other params.
"""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fitgap.data import prepared
from fitgap.data.draws import draw_rows
from fitgap.params.reading import load_params

SHIPPED = {"data.source": "digits", "data.train_images": 100, "backbone.weights": "glyphs"}


@pytest.fixture(scope="module")
def data(repository):
    folder = repository / "data"
    if not (folder / "features/features.json").exists():
        pytest.skip("nothing stands in data/features: the pipeline has not run here")
    chosen = load_params(repository / "params.yaml")
    values = chosen.section_params("data") | chosen.section_params("backbone")
    if not SHIPPED.items() <= values.items():
        pytest.skip("params.yaml is not the shipped one, and the promise is of that one")
    return folder


@pytest.fixture(scope="module")
def images(data):
    return prepared.read_prepared(data / "prepared")


def features_of(data, name, **options) -> np.ndarray:
    """Return a file of features: cells of a layer, or activations below a depth of fine-tuning."""
    folder = data / "features"
    return np.load(folder / ("cells" if name.startswith("block") else "") / f"{name}.npy", **options)


def test_every_image_has_finite_features(data, images):
    for name in json.loads((data / "features/features.json").read_text())["files"]:
        features = features_of(data, name, mmap_mode="r")
        assert features.dtype == np.float32
        assert len(features) == len(images.labels)
        assert np.isfinite(features).all()


@pytest.mark.parametrize(("layer", "least"), [("below_block5", 0.95), ("block5_pool", 0.87)])
def test_linear_probe_on_the_training_digits(repository, data, images, layer, least):
    """`below_block5` holds block4_pool. Alain & Bengio 2016, arXiv:1610.01644, on linear probes."""
    features = features_of(data, layer).reshape(len(images.labels), -1)
    rows = draw_rows(images, load_params(repository / "params.yaml").data, seed=0)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    probe.fit(features[rows["train"]], images.labels[rows["train"]])
    assert probe.score(features[rows["test"]], images.labels[rows["test"]]) >= least


def test_backbone_knows_its_own_characters(repository, data):
    measured = json.loads((repository / "results/backbone/metrics.json").read_text())
    assert measured["glyph_accuracy"] >= 0.93
