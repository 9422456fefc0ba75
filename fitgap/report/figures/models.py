"""Figures that compare models: accuracy against gap, and probes by block."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from fitgap.claims.study import Study
from fitgap.inference.estimates import estimate_over_seeds_and_images
from fitgap.report.figures import canvas
from fitgap.report.figures.canvas import MARKERS, STAND_INS

ACCURACY = "test accuracy"
BESIDE = (  # where a label may stand, in points from its point, with its alignments
    ((7, 0), "left", "center_baseline"),
    ((-7, 0), "right", "center_baseline"),
    ((0, 7), "center", "bottom"),
    ((0, -7), "center", "top"),
)


def draw_trade_offs(table: pd.DataFrame) -> dict[str, Markup]:
    """Draw test accuracy against the final gap for every trained model; return way -> SVG element.

    Each has scales of its own: together, the many heads, which differ little, would hide the models from scratch.
    """
    shown = table.dropna(subset=["gap_last_mean", "test_accuracy_mean"])
    is_scratch = shown["family"] == "scratch"
    ways = {"scratch": shown[is_scratch], "borrowed": shown[~is_scratch]}
    return {
        way: canvas.draw(
            f"trade-off-{way}",
            "Test accuracy against the final gap",
            _in_words(rows),
            lambda axes, rows=rows: _scatter(axes, rows),
            ("final gap: validation loss - training loss (nats)", ACCURACY),
        )
        for way, rows in ways.items()
        if len(rows)
    }


def _scatter(axes: Axes, shown: pd.DataFrame) -> None:
    for family, rows in shown.groupby("family", sort=False):
        x, y = rows["gap_last_mean"], rows["test_accuracy_mean"]
        bars = {"xerr": rows["gap_last_sd"].fillna(0), "yerr": rows["test_accuracy_sd"].fillna(0)}
        axes.errorbar(x, y, **bars, fmt="none", ecolor=STAND_INS[family], alpha=0.45, linewidth=1.2)
        axes.plot(x, y, MARKERS[family], color=STAND_INS[family], markersize=7, label=family)
    axes.margins(0.12)
    if shown["family"].nunique() > 1:
        axes.legend(loc="best", frameon=False, labelcolor=STAND_INS["ink"], fontsize=9)
    _label(axes, shown["model"].str.split("@").str[-1], shown[["gap_last_mean", "test_accuracy_mean"]].to_numpy())


def _label(axes: Axes, names: pd.Series, points: np.ndarray) -> None:
    """Write each name beside its point where it covers nothing; otherwise leave it out: the table has all names."""
    axes.autoscale_view()
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in axes.transData.transform(points)]
    for name, point in sorted(zip(names, points, strict=True), key=lambda pair: -pair[1][1]):
        for offset, horizontal, vertical in BESIDE:
            style = {"ha": horizontal, "va": vertical, "fontsize": 9, "color": STAND_INS["ink"]}
            text = axes.annotate(name, point, offset, textcoords="offset points", **style)
            box = text.get_window_extent()
            if not box.count_overlaps(taken) and all(axes.bbox.contains(*corner) for corner in (box.min, box.max)):
                taken.append(box)
                break
            text.remove()


def _in_words(rows: pd.DataFrame) -> str:
    """Return a text description of the points."""
    spots = zip(rows["model"], rows["test_accuracy_mean"], rows["gap_last_mean"], strict=True)
    return "; ".join(f"{model}: accuracy {accuracy:.1%}, final gap {gap:.2f}" for model, accuracy, gap in spots) + "."


def draw_blocks(study: Study) -> Markup:
    """Draw the test accuracy of each cached block's probe, with 95% intervals over repetitions and test images."""
    blocks = [layer.removesuffix("_pool") for layer in study.probe.record.layers]
    estimates = [estimate_over_seeds_and_images(right) for right in study.right_by_layer(study.probe)]
    places, means = range(len(estimates)), [estimate.value for estimate in estimates]

    def paint(axes: Axes) -> None:
        for place, estimate in zip(places, estimates, strict=True):
            ends = estimate.interval() or [estimate.value] * 2
            axes.plot([place, place], ends, color=STAND_INS["head"], linewidth=2.4)
        axes.plot(places, means, "s-", color=STAND_INS["head"], linewidth=1.2, markersize=8)
        axes.set_xticks(places, blocks)
        axes.set_xlim(-0.5, len(blocks) - 0.5)

    words = "; ".join(f"{block}: {share:.1%}" for block, share in zip(blocks, means, strict=True))
    labels = ("from the input to the output of VGG16", ACCURACY)
    return canvas.draw("blocks", "Test accuracy of linear probes by block", f"{words}.", paint, labels)
