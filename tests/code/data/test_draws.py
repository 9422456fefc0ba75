"""Test what a seed draws: stratified, nested by size, reproducible, and never one image in two splits."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fitgap.data import draws
from fitgap.data.prepared import PreparedImages
from fitgap.params.sections import Data
from fitgap.system.errors import UserError

seeds = st.integers(0, 10_000)
many = settings(max_examples=60, deadline=None)


def amounts(train, validation="all") -> Data:
    given = {"source": "directory", "path": "pictures", "image_size": 32, "max_bad_fraction": 0.0, "split_seed": 0}
    given |= {"pool_images": "all", "train_images": train, "validation_images": validation, "test_images": "all"}
    return Data(**given, near_duplicates="warn", split_folders="by_name")


def collection(pool, fixed=(), test=(0, 1), copies=()) -> PreparedImages:
    """Return images without pixels: labels by part; `copies` are rows of the pool that stand in it once more."""
    pool = [*pool, *(pool[row] for row in copies)]
    labels, numbers = np.array([*pool, *fixed, *test]), np.arange(len(pool) + len(fixed) + len(test))
    for place, row in enumerate(copies, start=len(pool) - len(copies)):
        numbers[place] = numbers[row]
    ends = np.cumsum([0, len(pool), len(fixed), len(test)]).tolist()
    rows = {name: slice(*ends[i : i + 2]) for i, name in enumerate(("pool", "validation", "test"))}
    names = [f"class {label}" for label in range(labels.max() + 1)]
    return PreparedImages(np.empty((len(labels), 0)), labels, names, rows, {}, numbers)


@st.composite
def pools(draw) -> list[int]:
    """Draw the labels of a pool of 2 to 5 classes, some of them rare, in any order."""
    counts = draw(st.lists(st.integers(4, 30), min_size=2, max_size=5))
    return draw(st.permutations(np.repeat(np.arange(len(counts)), counts).tolist()))


@many
@given(pool=pools(), seed=seeds, data=st.data())
def test_splits_are_disjoint_and_as_large_as_asked_for(pool, seed, data):
    classes = len(set(pool))
    train = data.draw(st.integers(classes, len(pool) - classes))
    validation = data.draw(st.integers(classes, len(pool) - train))
    images = collection(pool)
    rows = draws.draw_rows(images, amounts(train, validation), seed)
    assert (len(rows["train"]), len(rows["validation"])) == (train, validation)
    assert not set(rows["train"]) & set(rows["validation"])
    assert {*rows["train"], *rows["validation"]} <= set(range(len(pool)))
    assert rows["test"].tolist() == list(range(len(pool), len(images.labels)))
    assert all((np.diff(found) > 0).all() for found in rows.values())


@many
@given(pool=pools(), seed=seeds, data=st.data())
def test_every_class_is_at_both_ends_in_its_share(pool, seed, data):
    labels, classes = np.array(pool), len(set(pool))
    order = labels[draws.stratified_order(np.arange(len(pool)), labels, seed)]
    assert set(order[:classes]) == set(order[-classes:]) == set(pool)
    size = data.draw(st.integers(classes, len(pool)))
    shares = size * np.bincount(labels) / len(labels)
    for end in (order[:size], order[-size:]):
        assert np.abs(np.bincount(end, minlength=classes) - shares).max() <= classes


def test_classes_of_equal_size_are_drawn_equally():
    images = collection(np.repeat(np.arange(10), 90))
    rows = draws.draw_rows(images, amounts(100, 200), 3)
    assert set(np.bincount(images.labels[rows["train"]])) == {10}
    assert set(np.bincount(images.labels[rows["validation"]])) == {20}


@many
@given(pool=pools(), seed=seeds, data=st.data())
def test_smaller_training_set_is_part_of_a_larger_one_and_leaves_the_validation_images(pool, seed, data):
    classes = len(set(pool))
    assume(len(pool) >= 3 * classes)
    small, large = sorted(data.draw(st.integers(classes, len(pool) - classes)) for _ in range(2))
    images = collection(pool)
    one, other = (draws.draw_rows(images, amounts(size, classes), seed) for size in (small, large))
    assert set(one["train"]) <= set(other["train"])
    assert one["validation"].tolist() == other["validation"].tolist()


@many
@given(pool=pools(), seed=seeds, data=st.data())
def test_copies_are_drawn_together_and_never_into_two_splits(pool, seed, data):
    classes = len(set(pool))
    doubled = data.draw(st.lists(st.integers(0, len(pool) - 1), max_size=len(pool)))
    images = collection(pool, copies=doubled)
    rows = draws.draw_rows(images, amounts(classes, 2 * classes), seed)
    train, validation = (images.copies[rows[split]] for split in ("train", "validation"))
    assert not set(train) & set(validation)
    assert (len(set(train)), len(set(validation))) == (classes, 2 * classes)
    for split in (train, validation):
        assert np.isin(images.copies, split).sum() == len(split)


def test_seeds_draw_different_images_and_the_same_again():
    images = collection(np.repeat(np.arange(10), 90))
    first, again, other = (draws.draw_rows(images, amounts(100, 200), seed) for seed in (0, 0, 1))
    for split in ("train", "validation"):
        assert first[split].tolist() == again[split].tolist()
        assert len(set(first[split]) & set(other[split])) < len(first[split]) / 2
    assert first["test"].tolist() == other["test"].tolist()


def test_validation_images_that_the_source_fixes_are_those_of_every_seed():
    images = collection([0, 1] * 20, fixed=[0, 1, 1])
    for seed in range(3):
        assert draws.draw_rows(images, amounts(10, 4), seed)["validation"].tolist() == [40, 41, 42]
    assert draws.drawn_splits(images, amounts(10)) == ["train"]
    assert draws.count_drawn(images, amounts("all")) == {"train": 40}


def test_all_is_what_the_other_split_leaves():
    images = collection([0, 1] * 20, copies=[3, 4])
    assert draws.count_drawn(images, amounts("all", 10)) == {"train": 30, "validation": 10}
    assert draws.count_drawn(images, amounts(10, "all")) == {"train": 10, "validation": 30}
    rows = draws.draw_rows(images, amounts("all", 10), 0)
    assert {*rows["train"], *rows["validation"]} == set(range(42))


def test_all_of_a_fixed_source_leaves_nothing_to_draw():
    fixed = collection([0, 1] * 20, fixed=[0, 1])
    assert draws.drawn_splits(fixed, amounts("all")) == []
    one, other = (draws.draw_rows(fixed, amounts("all"), seed) for seed in (0, 1))
    assert one["train"].tolist() == other["train"].tolist() == list(range(40))
    assert draws.drawn_splits(collection([0, 1] * 20), amounts(30, 10)) == ["train", "validation"]


@pytest.mark.parametrize(
    ("train", "validation", "sizes", "said"),
    [
        (1, 10, [], r"data\.train_images: 1: at least 2"),
        (10, 1, [], r"data\.validation_images: 1: at least 2"),
        (30, 20, [], r"data\.train_images \+ data\.validation_images: 30 \+ 20: at most 40"),
        ("all", "all", [], r"data\.train_images and data\.validation_images: all"),
        (10, 10, [20, 31], r"learning_curve\.sizes \+ data\.validation_images: 31 \+ 10: at most 40"),
        (10, 10, [1], r"learning_curve\.sizes: 1: at least 2"),
    ],
)
def test_draw_that_cannot_be_names_key_and_limit(train, validation, sizes, said):
    with pytest.raises(UserError, match=said) as raised:
        draws.check_drawing(collection([0, 1] * 20), amounts(train, validation), sizes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("pool", "advice"), [("all", "add some$"), (20, "add some, or raise data.pool_images: 20")])
def test_class_that_cannot_be_in_both_splits_is_named(pool, advice):
    rare, data = [0] * 20 + [1], amounts(4, 4).model_copy(update={"pool_images": pool})
    with pytest.raises(UserError, match=f"class 'class 1' has 1 distinct image in the pool.*; {advice}"):
        draws.check_drawing(collection(rare, copies=[20]), data, [])
    draws.check_drawing(collection(rare, fixed=[0, 1]), amounts(4), [])


def test_inputs_of_a_split_are_those_of_its_rows():
    images = collection([0, 1] * 20)
    inputs, rows = np.arange(42.0)[:, None], draws.draw_rows(images, amounts(10, 10), 0)
    for split, (read, labels) in draws.examples_of(images, inputs, rows).items():
        assert read[:].ravel().tolist() == rows[split].tolist()
        assert read[2:4].ravel().tolist() == rows[split][2:4].tolist()
        assert labels.tolist() == images.labels[rows[split]].tolist()
