"""The learning curve: test accuracy by the number of training images, for each way to a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from fitgap.claims.learning_curve import WAYS, Crossing, find_crossing, lead, right_by_size, usual_models
from fitgap.claims.study import Study
from fitgap.inference.estimates import Estimate, estimate_over_seeds_and_images
from fitgap.report import formatting
from fitgap.report.figures import canvas
from fitgap.report.figures.canvas import LIGHT, MARKERS, STAND_INS

TITLE = "Test accuracy by the number of training images"
LABELS = ("number of training images (logarithmic scale)", "test accuracy")
DASHES = {"scratch": "-", "head": (0, (4, 1.5)), "finetune": (0, (6, 1.5, 1.5, 1.5))}
APART = {"scratch": 0.98, "head": 1.0, "finetune": 1.02}  # factors that keep the intervals of one size apart


@dataclass(frozen=True)
class LearningCurve:
    """What the learning curve shows."""

    accuracies: dict[str, dict[int, Estimate]]  # way -> size of the training set -> test accuracy
    crossings: dict[str, Crossing]  # way of borrowing -> where training from scratch catches up with it
    titles: dict[str, str]  # way -> its name in words
    classes: int

    @property
    def sizes(self) -> list[int]:
        """All sizes, ascending."""
        return sorted(set().union(*self.accuracies.values()))

    @property
    def sentences(self) -> list[str]:
        """One sentence for each way of borrowing with a crossing."""
        return [
            f"Against {WAYS[way]}, training from scratch {crossing.in_words(self.classes)}."
            for way, crossing in self.crossings.items()
        ]


def measure_learning_curve(study: Study) -> LearningCurve | None:
    """Estimate the accuracies and the crossings; None without a learning curve or a pre-trained backbone."""
    if not study.is_transfer or not study.curve:
        return None
    accuracies = {
        way: {size: estimate_over_seeds_and_images(right) for size, right in right_by_size(study, way).items()}
        for way in ("scratch", *WAYS)
    }
    depth = usual_models(study).get("finetune", "finetune@some block").partition("@")[2]
    titles = {"scratch": "from scratch", "head": "frozen base, new classifier", "finetune": f"fine-tuned from {depth}"}
    return LearningCurve(accuracies, _find_crossings(study), titles, len(study.prepared.class_names))


def _find_crossings(study: Study) -> dict[str, Crossing]:
    """Find the crossing of each way of borrowing; it takes two sizes, and an interval takes two repetitions."""
    leads = {way: lead(study, way) for way in WAYS if len(study.params.curve_seeds) > 1}
    return {way: find_crossing(by_size) for way, by_size in leads.items() if len(by_size) > 1}


def draw_learning_curve(curve: LearningCurve) -> Markup:
    """Draw the learning curve for the page."""
    words = describe_curve(curve)
    return canvas.draw("learning-curve", TITLE, words, lambda axes: draw_curve(axes, curve, STAND_INS), LABELS)


def write_learning_curve(curve: LearningCurve, path: Path) -> None:
    """Write the learning curve as a PNG image on white."""
    canvas.write(path, lambda axes: draw_curve(axes, curve, LIGHT), LABELS)


def draw_curve(axes: Axes, curve: LearningCurve, colours: Mapping[str, str]) -> None:
    """Draw one line per way with 95% intervals, and below them the crossings with theirs."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(curve.sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    for way, by_size in curve.accuracies.items():
        _draw_way(axes, way, by_size, curve.titles[way], colours)
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.12 * (high - low), min(high, 1.0) if high > 1 else high)
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if max(low, 0) <= tick <= high])  # no accuracy below 0
    for number, (way, crossing) in enumerate(curve.crossings.items()):
        _draw_crossing(axes, number, way, crossing, colours)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.12), frameon=False, labelcolor=colours["ink"], fontsize=9)


def _draw_way(axes: Axes, way: str, by_size: dict[int, Estimate], title: str, colours: Mapping[str, str]) -> None:
    sizes = np.array(list(by_size)) * APART[way]
    means = [estimate.value for estimate in by_size.values()]
    for size, estimate in zip(sizes, by_size.values(), strict=True):
        axes.plot([size, size], estimate.interval() or [estimate.value] * 2, color=colours[way], linewidth=2)
    style = {"linestyle": DASHES[way], "linewidth": 1.6, "marker": MARKERS[way], "markersize": 7}
    axes.plot(sizes, means, color=colours[way], label=title, **style)


def _draw_crossing(axes: Axes, number: int, way: str, crossing: Crossing, colours: Mapping[str, str]) -> None:
    """Mark a crossing by a bar near the x axis; a bar without an end goes on to the last size measured."""
    if crossing.size is None and crossing.low is None:
        return
    height, place = 0.035 + 0.04 * number, axes.get_xaxis_transform()
    ends = [crossing.low or crossing.smallest, crossing.high or crossing.largest]
    style = {"color": colours[way], "transform": place, "linewidth": 3, "alpha": 0.8}
    axes.plot(ends, [height, height], **style)
    if crossing.size is not None:
        axes.plot([crossing.size], [height], MARKERS[way], color=colours[way], transform=place, markersize=7)


def describe_curve(curve: LearningCurve) -> str:
    """Return a text description of the figure."""
    lines = [
        f"{curve.titles[way]}: " + ", ".join(f"{estimate.value:.1%} with {size}" for size, estimate in by_size.items())
        for way, by_size in curve.accuracies.items()
    ]
    return " ".join(["; ".join(lines) + ".", *curve.sentences])


def tabulate_curve(curve: LearningCurve) -> list[tuple[str, ...]]:
    """Return the table's rows: size, then each way's accuracy as mean ± standard deviation over repetitions."""
    return [(f"{size}", *(_cell(by_size.get(size)) for by_size in curve.accuracies.values())) for size in curve.sizes]


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return formatting.NOTHING
    return formatting.percent(estimate.value, np.std(estimate.by_seed, ddof=1) if estimate.seeds > 1 else None)
