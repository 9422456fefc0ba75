"""Figures of calibration: reliability diagrams, and the differences of the calibration errors to the baseline."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from fitgap.claims.calibration import CALIBRATION_ERROR, Calibration
from fitgap.report import formatting
from fitgap.report.figures import canvas
from fitgap.report.figures.canvas import STAND_INS

SIZE = (180, 180)  # points
WIDTH, ROW, MARGINS = 430, 26, (8, 46)  # of the plot of differences: points; above and below its rows
LABELS = 110  # points left of the plot of differences, for the names of the variants
FEWEST = 10  # answers in a bin; with fewer, its accuracy is mostly chance
LARGEST = 90  # area of the dot of a bin that holds all images, in square points


def draw_reliability(family: str, found: list[Calibration]) -> dict[str, Markup]:
    """Draw one reliability diagram per model, over the baseline's; return model name -> SVG element.

    A dot's area grows with the share of the images in its bin. Bins with fewer than FEWEST answers are left out.
    """
    curves = {one.model: one.answers.reliability().query(f"answers >= {FEWEST}") for one in found}
    baseline = curves.get(f"{family}@baseline")
    drawn = {}
    for number, (name, curve) in enumerate(curves.items()):
        with canvas.report_style():
            figure, axes = canvas.new_figure(*SIZE)
            canvas.style_axes(axes, STAND_INS, "how sure", "accuracy")
            figure.subplots_adjust(left=0.25, right=0.91, top=0.97, bottom=0.22)
            _draw_curves(axes, curve, None if name == f"{family}@baseline" else baseline)
            title = f"reliability diagram of {name}"
            drawn[name] = canvas.svg_element(figure, f"{family}-reliability-{number}", title, _in_words(curve))
    return drawn


def _draw_curves(axes: Axes, curve: pd.DataFrame, baseline: pd.DataFrame | None) -> None:
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.plot([0, 1], [0, 1], color=STAND_INS["muted"], linewidth=0.8)
    if baseline is not None:
        style = {"linewidth": 1.4, "linestyle": (0, (4, 1.5))}
        axes.plot(baseline["confidence"], baseline["accuracy"], color=STAND_INS["gap"], **style)
    axes.plot(curve["confidence"], curve["accuracy"], color=STAND_INS["training"], linewidth=1.6)
    sizes = 6 + LARGEST * curve["share"]
    axes.scatter(curve["confidence"], curve["accuracy"], sizes, color=STAND_INS["training"], linewidths=0, zorder=3)


def _in_words(curve: pd.DataFrame) -> str:
    bins = [
        f"{row.share:.0%} of the images: sure {row.confidence:.0%}, right {row.accuracy:.0%}"
        for row in curve.itertuples()
        if row.share >= 0.01
    ]
    return "; ".join(bins) + "."


def draw_differences(family: str, found: list[Calibration]) -> Markup | None:
    """Draw each model's calibration error minus the baseline's, with its 95% interval; None without a difference."""
    rows = [one for one in found if one.difference is not None]
    if not rows:
        return None
    height = ROW * len(rows) + sum(MARGINS)
    with canvas.report_style():
        figure, axes = canvas.new_figure(WIDTH, height)
        canvas.style_axes(axes, STAND_INS, "difference of the calibration error to the baseline (points)", "")
        figure.subplots_adjust(left=LABELS / WIDTH, right=0.98, top=1 - MARGINS[0] / height, bottom=MARGINS[1] / height)
        margin = 100 * CALIBRATION_ERROR.margin
        axes.axvspan(-margin, margin, color=STAND_INS["gap"], alpha=0.16, linewidth=0)
        axes.axvline(0, color=STAND_INS["ink"], linewidth=0.8, linestyle=(0, (2, 2)))
        for place, one in enumerate(rows):
            _draw_difference(axes, place, one)
        axes.set_yticks(range(len(rows)), [one.model.partition("@")[2] for one in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        words = "; ".join(f"{one.model}: {formatting.points(one.difference)}" for one in rows)
        title = "Calibration error compared with the baseline"
        return canvas.svg_element(figure, f"{family}-calibration", title, f"{words}.")


def _draw_difference(axes: Axes, place: int, one: Calibration) -> None:
    value, colour = 100 * one.difference.value, STAND_INS["training"]
    low, high = (100 * end for end in one.difference.interval() or (one.difference.value,) * 2)
    axes.plot([low, high], [place, place], color=colour, linewidth=2.4)
    axes.plot([value], [place], "o", color=colour, markersize=7)
