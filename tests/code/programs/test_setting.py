"""Test how a setting changes params.yaml."""

from pathlib import Path

import pytest

from fitgap.params import reading
from fitgap.params.schema import flatten
from fitgap.programs.setting import apply_changes, has_key, parse_assignment

ROOT = Path(__file__).parents[3]
SETTINGS = sorted((ROOT / "settings").glob("*.yaml"))


@pytest.fixture
def shipped():
    return reading.read_tree(ROOT / "params.yaml")


@pytest.mark.parametrize("file", SETTINGS, ids=[path.stem for path in SETTINGS])
def test_each_shipped_setting_is_valid_and_has_a_make_target(shipped, file):
    changed = apply_changes(shipped, flatten(reading.read_tree(file)))
    assert reading.validate(changed, file).seeds
    assert f"\n{file.stem.replace('_', '-')}: install ##" in (ROOT / "Makefile").read_text()


def test_null_removes_a_variant_and_leaves_the_others(shipped):
    changed = apply_changes(shipped, dict([parse_assignment("variants.l1=null")]))
    assert set(shipped["variants"]) - set(changed["variants"]) == {"l1"}
    assert reading.validate(changed, "params.yaml").variants


def test_null_for_what_is_absent_changes_nothing(shipped):
    assert apply_changes(shipped, {"variants.mine": None}) == shipped


@pytest.mark.parametrize(
    ("key", "is_there"),
    [("variants.l1", True), ("variants.l1.l1", True), ("seeds", True), ("variants.mine", False), ("seeds.0", False)],
)
def test_has_key_follows_the_dots(shipped, key, is_there):
    assert has_key(shipped, key) is is_there
