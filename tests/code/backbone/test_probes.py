"""Test linear probes: they find linear structure, use only validation data for selection, and are reproducible."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CLASSES = 4


def task(columns: int, clarity: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict]:
    """Return features, labels and the rows of each split; the first few features encode the class."""
    random = np.random.default_rng(seed)
    sizes = {"train": 80, "validation": 200, "test": 400}
    ends = np.cumsum([0, *sizes.values()]).tolist()
    rows = {name: np.arange(*ends[i : i + 2]) for i, name in enumerate(sizes)}
    labels = np.arange(ends[-1], dtype=np.int64) % CLASSES
    features = random.normal(size=(ends[-1], columns)).astype(np.float32)
    features[:, :CLASSES] += clarity * np.eye(CLASSES, dtype=np.float32)[labels]
    return features, labels, rows


@pytest.fixture(scope="module")
def probes(tensorflow):
    from fitgap.backbone import probes

    return probes


def test_a_clear_class_is_read_off(probes):
    probe = probes.fit_probe(*task(20, clarity=8.0))
    assert probe.measured["test_accuracy"] > 0.99
    assert probe.probabilities.shape == (400, CLASSES) and probe.probabilities.dtype == np.float32
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1, rtol=1e-5)


def test_noise_holds_nothing_and_is_punished_most(probes):
    probe = probes.fit_probe(*task(20, clarity=0.0))
    assert probe.measured["test_accuracy"] < 0.35
    assert probe.strength == min(probes.STRENGTHS)


def test_test_images_have_no_say(probes):
    features, labels, rows = task(20, clarity=1.5)
    probe = probes.fit_probe(features, labels, rows)
    other = features.copy()
    other[rows["test"]] = features[rows["test"]][::-1] * 3
    again = probes.fit_probe(other, labels, rows)
    assert again.strength == probe.strength
    unseen = {name: value for name, value in probe.measured.items() if name != "test_accuracy"}
    assert unseen.items() <= again.measured.items()


def test_a_repetition_fits_and_selects_on_its_own_images(probes):
    features, labels, rows = task(20, clarity=1.5)
    swapped = {"train": rows["validation"][:80], "validation": rows["train"], "test": rows["test"]}
    one, other = (probes.fit_probe(features, labels, drawn) for drawn in (rows, swapped))
    assert not np.array_equal(one.probabilities, other.probabilities)
    features[rows["validation"][80:]] = np.nan  # neither split has them now
    assert np.array_equal(probes.fit_probe(features, labels, swapped).probabilities, other.probabilities)


def test_fewer_images_than_columns_give_the_weights_of_the_plain_regression(probes):
    """The probe rotates the features then, which is exact."""
    features, labels, rows = task(300, clarity=2.0)
    probe = probes.fit_probe(features, labels, rows)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=probe.strength, max_iter=2000))
    plain.fit(features[rows["train"]], labels[rows["train"]])
    expected = plain.predict_proba(features[rows["test"]])
    np.testing.assert_allclose(probe.probabilities, expected, atol=0.01)


def test_the_same_bytes_every_time(probes):
    one, two = (probes.fit_probe(*task(40, clarity=1.5)) for _ in range(2))
    assert one.probabilities.tobytes() == two.probabilities.tobytes()
