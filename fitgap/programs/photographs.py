"""Compare remedies and pre-trained VGG16 on your own pictures, within a time: `make photographs PICTURES=folder`.

    python -m fitgap.programs.photographs PICTURES [--weights FILE] [--minutes 20] [--name NAME] [KEY=VALUE ...]

The setting is derived from the pictures and the minutes (`budget`), shown before the work, and written to
experiments/NAME.yaml. The same command continues a run that was interrupted, with the same setting.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fitgap import lifecycle
from fitgap.images.inventory import Inventory, take_inventory
from fitgap.params import reading
from fitgap.params.schema import Params, flatten
from fitgap.programs import budget, preflight
from fitgap.programs.budget import LEVELS, Level
from fitgap.programs.setting import absolute_paths, apply_changes, check_name, parse_assignment, run
from fitgap.system.errors import UserError

SETTING, EXPERIMENTS = Path("settings/photographs.yaml"), Path("experiments")
FEWEST, FEW = 10, 20  # pictures of a class: needed, and advised
UNBALANCED = 10  # times as many pictures in the largest class as in the smallest
DISAGREEING, MARGIN, Z = 0.1, 0.02, 1.96  # share of test images on which good models differ; two points; 95%
SHOWN = 6  # classes named on the terminal


def main(*arguments: str) -> None:
    """Plan, tell the plan, and run it."""
    options = _parser().parse_intermixed_args(arguments)
    check_name(options.name)
    given = given_values(options)
    pictures = take_inventory(Path(given["data.path"]), given.get("data.split_folders", "by_name"))
    check_classes(pictures)
    slowness, file = budget.slowness(), EXPERIMENTS / f"{options.name}.yaml"
    plans = [make_plan(pictures, level, given, slowness) for level in LEVELS]
    earlier = file.read_text(encoding="utf-8") if file.exists() else ""
    begun = [plan for plan in plans if plan.as_file(options.minutes) == earlier]  # however fast the machine is today
    chosen = begun[0] if begun else choose(plans, options.minutes)
    preflight.check(chosen.params, SETTING if options.weights else "without WEIGHTS=FILE")
    for line in [describe(pictures), *warnings_about(pictures, chosen), f"plan: {chosen.in_words}"]:
        print(line)
    for minutes in (options.minutes / 2, options.minutes * 3):
        if (other := choose(plans, minutes)).in_words != chosen.in_words:
            print(f"  MINUTES={minutes:.0f} would be: {other.in_words}")
    EXPERIMENTS.mkdir(exist_ok=True)
    file.write_text(chosen.as_file(options.minutes), encoding="utf-8")
    print(f'settings: {file}; to change one: CHANGES="KEY=VALUE ..."', flush=True)
    run(options.name, chosen.tree)
    print(f"Classify pictures with this model: make predict NAME={options.name} IMAGES=folder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fitgap.programs.photographs", description="Compare on pictures.")
    parser.add_argument("pictures", metavar="PICTURES", help="a folder, .zip or .tar: one folder per class")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="values of params.yaml, in place of derived")
    parser.add_argument("--weights", metavar="FILE", help="a VGG16 file in place of Keras's download of ImageNet's")
    parser.add_argument("--minutes", type=float, default=20, help="how long it may take, about (default: 20)")
    parser.add_argument("--name", default="photographs", help="name of the experiment (default: photographs)")
    return parser


def given_values(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the user decides, as dotted keys of params.yaml; paths are absolute."""
    pictures = Path(options.pictures).expanduser().resolve()
    preflight.check_path("PICTURES", str(pictures))
    weights = {"backbone.weights": "path", "backbone.path": options.weights} if options.weights else {}
    given = {"data.path": str(pictures), **weights, **dict(map(parse_assignment, options.changes))}
    return given | absolute_paths(given)


@dataclass(frozen=True)
class Plan:
    """An experiment on someone's pictures."""

    tree: dict[str, Any]  # the whole of params.yaml
    changes: dict[str, Any]  # of the shipped params.yaml: dotted key -> value
    params: Params
    parts: dict[str, float]  # expected minutes, by part of the run
    test_images: int

    @property
    def minutes(self) -> float:
        """The expected time."""
        return sum(self.parts.values())

    @property
    def in_words(self) -> str:
        """Sizes and times in one line."""
        data, scratch = self.params.data, self.params.scratch
        longest = sorted(self.parts, key=self.parts.get, reverse=True)[:3]
        parts = ", ".join(f"{title} {self.parts[title]:.1f}" for title in longest)
        trials = "no trials" if scratch.trials == 1 else f"{scratch.trials} trials each"
        return (
            f"{data.image_size}x{data.image_size} pixels; {data.train_images} training, {data.validation_images} "
            f"validation and {self.test_images} test images; {len(self.params.seeds)} repetitions of "
            f"{len(self.params.variants)} variants; from scratch {scratch.epochs} epochs, {trials}; "
            f"about {max(1, self.minutes):.0f} minutes ({parts})"
        )

    def as_file(self, minutes: float) -> str:
        """Return the settings as a file of their own."""
        title = f"# make photographs PICTURES=... MINUTES={minutes:g}\n"
        return title + yaml.safe_dump(self.changes, sort_keys=False, allow_unicode=True, default_flow_style=None)


def make_plan(pictures: Inventory, level: Level, given: dict[str, Any], slowness: float) -> Plan:
    """Return the plan of a level: params.yaml, then settings/photographs.yaml, then the level, then what is given."""
    shipped = reading.read_tree(Path("params.yaml"))
    changes = flatten(reading.read_tree(SETTING)) | budget.derive(pictures, level) | given
    tree = apply_changes(shipped, changes)
    params = reading.validate(tree, SETTING)
    parts = {title: slowness * s / 60 for title, s in budget.expected_seconds(params, pictures).items()}
    return Plan(tree, changes, params, parts, budget.amounts(params, pictures)["test"])


def choose(plans: list[Plan], minutes: float) -> Plan:
    """Return the largest plan that fits into these minutes; the smallest if none does."""
    return next((plan for plan in reversed(plans) if plan.minutes <= minutes), plans[0])


def describe(pictures: Inventory) -> str:
    """Return what is there in one line."""
    counts = pictures.per_class.sort_values(ascending=False, kind="stable")
    shown = [f"{name} {count:,}" for name, count in counts.items()]
    shown = shown if len(shown) <= SHOWN else [*shown[: SHOWN - 1], "...", shown[-1]]
    splits = [f"{pictures.of(split):,} in {split}/" for split in pictures.counts if split]
    return (
        f"{counts.sum():,} pictures in {len(counts)} classes ({', '.join(shown)}), the shorter side {pictures.side} "
        f"pixels{'; ' if splits else ''}{', '.join(splits)}"
    )


def check_classes(pictures: Inventory) -> None:
    """Raise a UserError if a class has too few pictures to be divided."""
    for name, count in pictures.per_class.items():
        if count < FEWEST:
            raise UserError(
                f"PICTURES: class {name!r} has {count} pictures, too few to train, validate and test with; needed: "
                f"{FEWEST}, better 50; add some, or take its folder away"
            )


def warnings_about(pictures: Inventory, plan: Plan) -> list[str]:
    """Return what limits the answer, in one line each, with what to do."""
    lines, counts = [], pictures.per_class
    most, fewest = counts.idxmax(), counts.idxmin()
    if counts[fewest] < FEW:
        lines.append(f"class {fewest!r} has {counts[fewest]} pictures: its accuracy will hardly be known; add some")
    if counts[most] > UNBALANCED * counts[fewest]:
        lines.append(
            f"{most!r} has {counts[most]:,} pictures, {fewest!r} {counts[fewest]:,}: who always answers {most!r} is "
            f"right in {counts[most] / counts.sum():.1%}; look at the accuracy of each class; add some of {fewest!r}"
        )
    if plan.test_images < (needed := round(Z**2 * DISAGREEING / MARGIN**2)):
        points = 100 * Z * math.sqrt(DISAGREEING / plan.test_images)
        lines.append(
            f"{plan.test_images} test images tell {points:.1f} points of accuracy apart; two would take about "
            f"{needed:,} images; more pictures would help"
        )
    return [f"note: {line}" for line in lines]


if __name__ == "__main__":
    lifecycle.run(main)
