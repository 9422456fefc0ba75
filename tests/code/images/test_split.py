"""Test the split: reproducible, stratified and disjoint."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitgap.images import duplicates, split
from fitgap.system.errors import UserError


def manifest(labels, copies_of=None) -> pd.DataFrame:
    hashes = [f"image {i if copies_of is None else copies_of[i]}" for i in range(len(labels))]
    return pd.DataFrame({"sha256": hashes, "label": labels, "official": ""})


def amounts(train, validation, test="all") -> dict:
    return {"train": train, "validation": validation, "test": test}


@settings(max_examples=50, deadline=None)
@given(classes=st.integers(2, 8), each=st.integers(10, 30), seed=st.integers(0, 1000), data=st.data())
def test_copies_of_an_image_stay_on_one_side(classes, each, seed, data):
    labels = np.repeat(np.arange(classes), each)
    doubled = data.draw(st.sets(st.integers(0, len(labels) - 1), max_size=len(labels) // 4))
    rows = manifest(np.append(labels, labels[sorted(doubled)]), [*range(len(labels)), *sorted(doubled)])
    rows["split"] = split.stratified_split(rows, amounts(2 * classes, 2 * classes), seed)
    assert (rows.groupby("sha256")["split"].nunique() == 1).all()
    distinct = rows.drop_duplicates("sha256")["split"].value_counts()
    assert (distinct["train"], distinct["validation"]) == (2 * classes, 2 * classes)


def test_classes_keep_their_shares():
    rows = manifest(np.repeat([0, 1], [300, 100]))
    counts = pd.crosstab(split.stratified_split(rows, amounts(40, 80), 0), rows["label"])
    assert counts.loc["train"].tolist() == [30, 10]
    assert counts.loc["validation"].tolist() == [60, 20]


def test_seed_fixes_the_split():
    rows = manifest(np.repeat(np.arange(5), 40))
    first, again, other = (split.stratified_split(rows, amounts(20, 40), seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("train", "validation", "said"),
    [(9, 40, "data.train_images: 9: at least 10"), (40, 9, "data.validation_images: 9"), (60, 35, "at most 90")],
)
def test_split_that_cannot_be_names_key_and_limit(train, validation, said):
    with pytest.raises(UserError, match=said):
        split.stratified_split(manifest(np.repeat(np.arange(10), 10)), amounts(train, validation), 0)


def test_order_puts_train_first_keeps_the_order_within_and_leaves_out():
    rows = pd.DataFrame({"split": ["test", "train", "validation", "", "train", "test"]})
    assert split.order_by_split(rows).tolist() == [1, 4, 2, 0, 5]


def test_amounts_leave_out_what_nobody_asked_for():
    rows = manifest(np.repeat(np.arange(4), 25))
    counts = split.stratified_split(rows, amounts(20, 12, 8), 0).value_counts()
    assert counts.to_dict() == {"train": 20, "validation": 12, "test": 8, split.LEFT_OUT: 60}


def test_official_test_images_are_the_only_test_images():
    rows = manifest(np.tile(np.arange(5), 20))
    rows["official"] = ["train"] * 60 + ["test"] * 40
    drawn = split.stratified_split(rows, amounts("all", 10), 0)
    assert set(drawn[60:]) == {"test"}
    assert drawn[:60].value_counts().to_dict() == {"train": 50, "validation": 10}


def test_near_duplicate_is_listed_and_a_different_image_is_not():
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 200, (8, 9)).repeat(8, 0).repeat(8, 1)[:, :, None], 3, axis=2).astype(np.uint8)
    images = {"first": image, "brighter": image + 20, "mirrored": image[:, ::-1], "unused": image + 30}
    rows = pd.DataFrame({"name": images, "split": ["train", "validation", "test", ""]}, index=list(images))
    rows["name"] = list(images)
    rows["sha256"] = [duplicates.pixel_hash(one) for one in images.values()]
    rows["looks"] = [duplicates.difference_hash(one) for one in images.values()]
    assert duplicates.near_duplicates(rows).to_numpy().tolist() == [["brighter", "validation", "first", "train"]]
