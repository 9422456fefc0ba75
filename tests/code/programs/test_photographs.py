"""Test the rules of `make photographs`: what a folder of pictures and some minutes make of params.yaml."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fitgap.data.draws import ALL
from fitgap.images.inventory import Inventory, take_inventory
from fitgap.params import reading
from fitgap.params.schema import flatten
from fitgap.programs import budget, photographs
from fitgap.programs.budget import LEVELS
from fitgap.programs.setting import apply_changes
from fitgap.system.errors import UserError


@pytest.fixture(autouse=True)
def at_the_top(repository, monkeypatch):
    monkeypatch.chdir(repository)


def inventory(side: int = 400, **counts: dict[str, int]) -> Inventory:
    """Pictures by split and class; `all` is a folder without splits."""
    splits = {"" if split == "all" else split: numbers for split, numbers in counts.items()}
    return Inventory(pd.DataFrame(splits).fillna(0).astype(int), side, 0.005)


def plan(pictures: Inventory, level: int = 0, **given) -> photographs.Plan:
    given = {"data.path": "photos", "backbone.weights": "glyphs"} | given
    return photographs.make_plan(pictures, LEVELS[level], given, slowness=1.0)


FOLDERS = {
    "twenty a class": inventory(all={"cat": 20, "dog": 20}),
    "240": inventory(all=dict.fromkeys("abc", 80)),
    "a rare class": inventory(all={"cat": 10_000, "dog": 40}),
    "a hundred thousand": inventory(all={f"class {n}": 1000 for n in range(100)}),
    "train and test": inventory(train=dict.fromkeys("abc", 5000), test=dict.fromkeys("abc", 1000)),
    "three splits": inventory(train={"a": 60, "b": 60}, validation={"a": 9, "b": 9}, test={"a": 20, "b": 20}),
    "tiny pictures": inventory(side=28, all={"a": 300, "b": 300}),
}


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_every_level_fits_every_folder(name, level):
    pictures = FOLDERS[name]
    made = plan(pictures, level)
    data, images = made.params.data, budget.amounts(made.params, pictures)
    free, fixed = pictures.of("train") + pictures.of(""), pictures.of("validation")
    assert images["pool"] + (0 if pictures.of("test") else images["test"]) <= free
    assert images["train"] + (0 if fixed else images["validation"]) <= images["pool"]
    assert images["validation"] <= (fixed or free) and images["test"] <= (pictures.of("test") or free)
    assert min(images.values()) >= len(pictures.per_class) or name == "a hundred thousand"
    assert 32 <= data.image_size <= max(32, 3 * pictures.side) and data.image_size <= LEVELS[level].side
    assert data.image_size // 2 ** len(made.params.scratch.filters) >= 1
    assert all(size < images["train"] for size in made.params.learning_curve.sizes)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_higher_level_takes_longer_and_more_minutes_choose_it(name):
    plans = [plan(FOLDERS[name], level) for level in range(len(LEVELS))]
    minutes = [own.minutes for own in plans]
    assert minutes == sorted(minutes)
    assert photographs.choose(plans, 0) is plans[0]
    assert photographs.choose(plans, minutes[3]) is plans[3] or minutes[4] == minutes[3]
    assert photographs.choose(plans, 1e9) is plans[-1]


def test_where_there_are_enough_pictures_the_pool_is_twice_what_a_repetition_draws():
    images = budget.amounts(plan(FOLDERS["train and test"]).params, FOLDERS["train and test"])
    assert images["pool"] == 2 * (images["train"] + images["validation"])


def test_what_is_given_stands_and_counts_in_the_time():
    made = plan(FOLDERS["240"], 3, **{"scratch.epochs": 3, "data.train_images": ALL})
    assert made.params.scratch.epochs == 3 and made.params.data.train_images == ALL
    assert made.changes["scratch.epochs"] == 3 and made.minutes < plan(FOLDERS["240"], 3).minutes


def test_the_file_is_a_setting_that_makes_the_same_params(tmp_path):
    made, file = plan(FOLDERS["240"]), tmp_path / "own.yaml"
    file.write_text(made.as_file(20), encoding="utf-8")
    changes = flatten(reading.read_tree(file))
    assert apply_changes(reading.read_tree(Path("params.yaml")), changes) == made.tree
    assert changes["variants.l2"] is None and "l2" not in made.params.variants


def test_remedies_that_a_level_has_no_time_for_are_left_out():
    few, all_of_them = (set(plan(FOLDERS["240"], level).params.variants) for level in (0, -1))
    shown = set(budget.REMEDIES[: LEVELS[0].remedies])
    assert set(budget.REMEDIES) < all_of_them and set(budget.REMEDIES) & few == shown


def test_trials_are_counted_as_they_are_run():
    model = plan(FOLDERS["240"], -1).params.model("scratch", "dropout")
    assert model.trials == 4 and budget.count_draws(model) == 4 + 2 + 2


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"cat": 10_000, "dog": 40}, "'cat' has 10,000 pictures, 'dog' 40: who always answers 'cat' is right in 99.6%"),
        ({"cat": 15, "dog": 30}, "class 'cat' has 15 pictures: its accuracy will hardly be known; add some"),
        ({"cat": 120, "dog": 120}, "60 test images tell 8.0 points of accuracy apart; two would take about 960 images"),
    ],
)
def test_what_limits_the_answer_is_told_in_one_line(counts, told):
    pictures = inventory(all=counts)
    assert any(told in line for line in photographs.warnings_about(pictures, plan(pictures)))


def test_nothing_is_told_of_many_pictures_of_each_class():
    pictures = inventory(all=dict.fromkeys("abc", 2000))
    assert photographs.warnings_about(pictures, plan(pictures, -1)) == []


def test_a_class_of_five_pictures_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="class 'dog' has 5 pictures, too few .* needed: 10, better 50; add some"):
        photographs.check_classes(inventory(all={"cat": 80, "dog": 5}))


def draw(folder: Path, count: int, side: int = 40) -> None:
    folder.mkdir(parents=True)
    for n in range(count):
        Image.fromarray(np.full((side, side + n, 3), n, np.uint8)).save(folder / f"{n}.png")


def test_inventory_counts_by_class_and_split_and_looks_at_sizes(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            draw(tmp_path / split / name, count)
    (tmp_path / "train/dog/broken.jpg").write_bytes(b"no picture")
    found = take_inventory(tmp_path)
    assert found.counts.loc["dog"].to_dict() == {"train": 5, "test": 2} and found.side == 40
    assert found.of("train") == 9 and found.of("validation") == 0 and found.decode_seconds > 0
    assert photographs.describe(found).startswith("13 pictures in 2 classes (dog 7, cat 6), the shorter side 40 pixels")


def test_a_folder_of_one_class_gets_one_line(tmp_path):
    draw(tmp_path / "cat", 3)
    with pytest.raises(UserError, match="only the class 'cat'; needed: at least two folders"):
        take_inventory(tmp_path)
