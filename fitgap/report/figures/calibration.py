"""Figures of calibration: reliability diagrams, and the differences of the calibration errors to the baseline."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from fitgap.claims.calibration import CALIBRATION_ERROR, Calibration
from fitgap.report import formatting
from fitgap.report.figures import canvas
from fitgap.report.figures.canvas import STAND_INS

SIZE, MARGINS = (180, 180), {"left": 0.25, "right": 0.91, "top": 0.97, "bottom": 0.22}  # of a diagram, in points
WIDTH, ROW, ABOVE, BELOW, LEFT = 430, 26, 8, 46, 110  # of the plot of differences and around its rows, in points
FEWEST = 10  # answers in a bin; with fewer, its accuracy is mostly chance
LARGEST = 90  # area of the dot of a bin that holds all images, in square points


def draw_reliability(family: str, calibrations: list[Calibration]) -> dict[str, Markup]:
    """Draw one reliability diagram per model, over the baseline's; return model name -> SVG element.

    A dot's area grows with the share of the images in its bin. Bins with fewer than FEWEST answers are left out.
    """
    curves = {own.model: own.answers.reliability().query(f"answers >= {FEWEST}") for own in calibrations}
    baseline = curves.get(f"{family}@baseline")
    return {
        name: canvas.draw(
            f"{family}-reliability-{number}",
            f"reliability diagram of {name}",
            _in_words(curve),
            lambda axes, curve=curve: _draw_curves(axes, curve, baseline),
            ("how sure", "accuracy"),
            SIZE,
            MARGINS,
        )
        for number, (name, curve) in enumerate(curves.items())
    }


def _draw_curves(axes: Axes, curve: pd.DataFrame, baseline: pd.DataFrame | None) -> None:
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.plot([0, 1], [0, 1], color=STAND_INS["muted"], linewidth=0.8)
    if baseline is not None and baseline is not curve:
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


def draw_differences(family: str, calibrations: list[Calibration]) -> Markup | None:
    """Draw each model's calibration error minus the baseline's, with its 95% interval; None without a difference."""
    rows = [own for own in calibrations if own.difference is not None]
    if not rows:
        return None

    def paint(axes: Axes) -> None:
        margin = 100 * CALIBRATION_ERROR.margin
        axes.axvspan(-margin, margin, color=STAND_INS["gap"], alpha=0.16, linewidth=0)
        axes.axvline(0, color=STAND_INS["ink"], linewidth=0.8, linestyle=(0, (2, 2)))
        for place, row in enumerate(rows):
            _draw_difference(axes, place, row)
        axes.set_yticks(range(len(rows)), [row.model.partition("@")[2] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")

    height = ROW * len(rows) + ABOVE + BELOW
    return canvas.draw(
        f"{family}-calibration",
        "Calibration error compared with the baseline",
        "; ".join(f"{row.model}: {formatting.points(row.difference)}" for row in rows) + ".",
        paint,
        ("difference of the calibration error to the baseline (points)", ""),
        (WIDTH, height),
        {"left": LEFT / WIDTH, "right": 0.98, "top": 1 - ABOVE / height, "bottom": BELOW / height},
    )


def _draw_difference(axes: Axes, place: int, row: Calibration) -> None:
    value, colour = 100 * row.difference.value, STAND_INS["training"]
    low, high = (100 * end for end in row.difference.interval() or (row.difference.value,) * 2)
    axes.plot([low, high], [place, place], color=colour, linewidth=2.4)
    axes.plot([value], [place], "o", color=colour, markersize=7)
