"""The learning curve: test accuracy by the number of training images, from scratch and borrowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from fitgap.claims.learning_curve import Crossing, find_crossing, lead, right_by_size
from fitgap.claims.study import Study
from fitgap.data.results import WAYS
from fitgap.definitions.families import family_of
from fitgap.inference.estimates import Estimate, estimate_over_seeds_and_images
from fitgap.report import formatting
from fitgap.report.figures import canvas
from fitgap.report.figures.canvas import LIGHT, MARKERS, STAND_INS

TITLE = "Test accuracy by the number of training images"
LABELS = ("number of training images (logarithmic scale)", "test accuracy")
TITLES = {"scratch": "from scratch", "borrowed": "VGG16 borrowed"}
DASHES = {"scratch": "-", "borrowed": (0, (4, 1.5))}
APART = {"scratch": 0.99, "borrowed": 1.01}  # factors that keep the intervals of one size apart


@dataclass(frozen=True)
class LearningCurve:
    """What the learning curve shows."""

    models: dict[str, str]  # way -> the model that is trained with each number of images
    accuracies: dict[str, dict[int, Estimate]]  # way -> size of the training set -> test accuracy
    crossing: Crossing | None  # where training from scratch catches up
    classes: int

    @property
    def titles(self) -> dict[str, str]:
        """Way -> its name in words."""
        return {way: f"{TITLES[way]}: {model}" for way, model in self.models.items()}

    @property
    def sizes(self) -> list[int]:
        """All sizes, ascending."""
        return sorted(set().union(*self.accuracies.values()))

    @property
    def sentence(self) -> str:
        """Where training from scratch catches up; an empty string if it is not known."""
        return f"Training from scratch {self.crossing.in_words(self.classes)}." if self.crossing else ""


def measure_learning_curve(study: Study) -> LearningCurve | None:
    """Estimate the accuracies and the crossing; None without a learning curve or a pre-trained backbone."""
    if not study.is_transfer or not study.curve:
        return None
    accuracies = {
        way: {size: estimate_over_seeds_and_images(right) for size, right in right_by_size(study, way).items()}
        for way in WAYS
    }
    trained, leads = next(iter(study.curve.values())).record.params, lead(study)
    is_enough = len(leads) > 1 and len(study.params.curve_seeds) > 1  # one repetition has no interval
    crossing = find_crossing(leads) if is_enough else None
    return LearningCurve({way: trained[way] for way in WAYS}, accuracies, crossing, len(study.prepared.class_names))


def draw_learning_curve(curve: LearningCurve) -> Markup:
    """Draw the learning curve for the page."""
    words = describe_curve(curve)
    return canvas.draw("learning-curve", TITLE, words, lambda axes: draw_curve(axes, curve, STAND_INS), LABELS)


def write_learning_curve(curve: LearningCurve, path: Path) -> None:
    """Write the learning curve as a PNG image on white."""
    canvas.write(path, lambda axes: draw_curve(axes, curve, LIGHT), LABELS)


def draw_curve(axes: Axes, curve: LearningCurve, colours: Mapping[str, str]) -> None:
    """Draw one line per way with 95% intervals, and below them the interval of the crossing."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(curve.sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    for way, by_size in curve.accuracies.items():
        _draw_way(axes, way, by_size, curve, colours)
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.12 * (high - low), min(high, 1.0) if high > 1 else high)
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if max(low, 0) <= tick <= high])  # no accuracy below 0
    if curve.crossing is not None:
        _draw_crossing(axes, curve.crossing, colours)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.12), frameon=False, labelcolor=colours["ink"], fontsize=9)


def _draw_way(
    axes: Axes, way: str, by_size: dict[int, Estimate], curve: LearningCurve, colours: Mapping[str, str]
) -> None:
    sizes, family = np.array(list(by_size)) * APART[way], family_of(curve.models[way])
    means = [estimate.value for estimate in by_size.values()]
    for size, estimate in zip(sizes, by_size.values(), strict=True):
        axes.plot([size, size], estimate.interval() or [estimate.value] * 2, color=colours[family], linewidth=2)
    style = {"linestyle": DASHES[way], "linewidth": 1.6, "marker": MARKERS[family], "markersize": 7}
    axes.plot(sizes, means, color=colours[family], label=curve.titles[way], **style)


def _draw_crossing(axes: Axes, crossing: Crossing, colours: Mapping[str, str]) -> None:
    """Mark the interval by a bar near the x axis, up to the sizes measured; nothing if neither end is known."""
    if crossing.low is None and crossing.high is None:
        return
    height, style = 0.05, {"color": colours["ink"], "transform": axes.get_xaxis_transform()}
    ends = [crossing.low or crossing.smallest, crossing.high or crossing.largest]
    axes.plot(ends, [height, height], **style, linewidth=3, alpha=0.8)
    if crossing.is_measured:
        axes.plot([crossing.size], [height], "o", **style, markersize=7)


def describe_curve(curve: LearningCurve) -> str:
    """Return a text description of the figure."""
    lines = [
        f"{curve.titles[way]}: " + ", ".join(f"{estimate.value:.1%} with {size}" for size, estimate in by_size.items())
        for way, by_size in curve.accuracies.items()
    ]
    return f"{'; '.join(lines)}. {curve.sentence}".rstrip()


def tabulate_curve(curve: LearningCurve) -> list[tuple[str, ...]]:
    """Return the table's rows: size, then each way's accuracy as mean ± standard deviation over repetitions."""
    return [(f"{size}", *(_cell(by_size.get(size)) for by_size in curve.accuracies.values())) for size in curve.sizes]


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return formatting.NOTHING
    return formatting.percent(estimate.value, np.std(estimate.by_seed, ddof=1) if estimate.seeds > 1 else None)
