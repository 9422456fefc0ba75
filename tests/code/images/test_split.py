"""Test the division into pool, validation and test images: reproducible, stratified and disjoint."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitgap.images import duplicates, split
from fitgap.params.sections import Data
from fitgap.system.errors import UserError


def manifest(labels, copies_of=None) -> pd.DataFrame:
    hashes = [f"image {i if copies_of is None else copies_of[i]}" for i in range(len(labels))]
    return pd.DataFrame({"sha256": hashes, "label": labels, "official": ""})


def amounts(pool="all", test="all", validation="all", seed=0) -> Data:
    given = {"source": "directory", "path": "pictures", "image_size": 32, "max_bad_fraction": 0.0}
    given |= {"pool_images": pool, "test_images": test, "validation_images": validation, "train_images": "all"}
    return Data(**given, split_seed=seed, near_duplicates="warn", split_folders="by_name")


@settings(max_examples=50, deadline=None)
@given(classes=st.integers(2, 8), each=st.integers(10, 30), seed=st.integers(0, 1000), data=st.data())
def test_copies_of_an_image_stay_on_one_side(classes, each, seed, data):
    labels = np.repeat(np.arange(classes), each)
    doubled = data.draw(st.sets(st.integers(0, len(labels) - 1), max_size=len(labels) // 4))
    rows = manifest(np.append(labels, labels[sorted(doubled)]), [*range(len(labels)), *sorted(doubled)])
    rows["part"] = split.divide(rows, amounts(4 * classes, 2 * classes, seed=seed))
    assert (rows.groupby("sha256")["part"].nunique() == 1).all()
    distinct = rows.drop_duplicates("sha256")["part"].value_counts()
    assert (distinct["pool"], distinct["test"]) == (4 * classes, 2 * classes)


def test_classes_keep_their_shares():
    rows = manifest(np.repeat([0, 1], [300, 100]))
    counts = pd.crosstab(split.divide(rows, amounts(40, 80)), rows["label"])
    assert counts.loc["pool"].tolist() == [30, 10]
    assert counts.loc["test"].tolist() == [60, 20]


def test_seed_fixes_the_division():
    rows = manifest(np.repeat(np.arange(5), 40))
    first, again, other = (split.divide(rows, amounts(60, seed=seed)) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("pool", "test", "said"),
    [(9, 40, "data.pool_images: 9: at least 10"), (40, 9, "data.test_images: 9"), (95, "all", "at most 90")],
)
def test_division_that_cannot_be_names_key_and_limit(pool, test, said):
    with pytest.raises(UserError, match=said):
        split.divide(manifest(np.repeat(np.arange(10), 10)), amounts(pool, test))


def test_class_too_small_for_both_parts_is_named():
    with pytest.raises(UserError, match=r"data\.(pool|test)_images: .*class 1 has 1 distinct images"):
        split.divide(manifest(np.repeat([0, 1], [30, 1])), amounts(20))


def test_order_puts_the_pool_first_keeps_the_order_within_and_leaves_out():
    rows = pd.DataFrame({"part": ["test", "pool", "validation", "", "pool", "test"]})
    assert split.order_by_part(rows).tolist() == [1, 4, 2, 0, 5]


def test_amounts_leave_out_what_nobody_asked_for():
    rows = manifest(np.repeat(np.arange(4), 25))
    counts = split.divide(rows, amounts(32, 8)).value_counts()
    assert counts.to_dict() == {"pool": 32, "test": 8, split.LEFT_OUT: 60}


def test_official_test_images_are_the_only_test_images():
    rows = manifest(np.tile(np.arange(5), 20))
    rows["official"] = ["train"] * 60 + ["test"] * 40
    drawn = split.divide(rows, amounts())
    assert set(drawn[60:]) == {"test"}
    assert set(drawn[:60]) == {"pool"}


def test_official_validation_images_are_fixed_and_the_pool_is_what_remains():
    rows = manifest(np.tile(np.arange(5), 20))
    rows["official"] = ["train"] * 50 + ["validation"] * 20 + ["test"] * 30
    drawn = split.divide(rows, amounts(validation=10, test=15))
    assert set(drawn[:50]) == {"pool"}
    assert drawn[50:70].value_counts().to_dict() == {"validation": 10, split.LEFT_OUT: 10}
    assert drawn[70:].value_counts().to_dict() == {"test": 15, split.LEFT_OUT: 15}


def test_without_official_test_images_they_come_from_the_training_images():
    rows = manifest(np.tile(np.arange(5), 20))
    rows["official"] = ["train"] * 80 + ["validation"] * 20
    drawn = split.divide(rows, amounts(pool=60))
    assert drawn[:80].value_counts().to_dict() == {"pool": 60, "test": 20}
    assert set(drawn[80:]) == {"validation"}


@pytest.mark.parametrize(("one", "other"), [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_copy_in_two_official_splits_counts_for_the_one_nearer_to_the_test(one, other):
    rows = manifest(np.tile(np.arange(2), 15), [*range(29), 1])
    rows["official"] = (["train"] * 10 + ["validation"] * 10 + ["test"] * 10)[:30]
    rows.loc[[1, 29], "official"] = [one, other]
    rows["part"] = split.divide(rows, amounts())
    assert rows.loc[[1, 29], "part"].tolist() == [split.LEFT_OUT, other]


def test_near_duplicate_is_listed_and_a_different_image_is_not():
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 200, (8, 9)).repeat(8, 0).repeat(8, 1)[:, :, None], 3, axis=2).astype(np.uint8)
    images = {"first": image, "brighter": image + 20, "mirrored": image[:, ::-1], "unused": image + 30}
    rows = pd.DataFrame({"name": list(images), "part": ["pool", "validation", "test", ""]}, index=list(images))
    rows["sha256"] = [duplicates.pixel_hash(one) for one in images.values()]
    rows["looks"] = [duplicates.difference_hash(one) for one in images.values()]
    assert duplicates.near_duplicates(rows).to_numpy().tolist() == [["brighter", "validation", "first", "pool"]]
    rows["part"] = ["pool", "pool", "pool", "test"]  # two of the pool may be drawn into different splits
    assert duplicates.near_duplicates(rows)["name"].tolist() == ["brighter", "unused"]
    rows["part"] = ["test", "test", "test", ""]
    assert duplicates.near_duplicates(rows).empty
