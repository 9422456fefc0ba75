"""All models as points: accuracy against gap, against training seconds, and by fine-tuning depth."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from fitgap.report.figures import canvas, labels
from fitgap.report.figures.palette import MARKERS, STAND_INS
from fitgap.report.study import Study

SIZE = (430, 330)  # points
MARGINS = {"left": 0.13, "right": 0.98, "top": 0.97, "bottom": 0.14}


def trade_off(table: pd.DataFrame) -> Markup:
    """Draw test accuracy against the final gap for every model that was trained."""
    shown = table.dropna(subset=["gap_last_mean", "test_accuracy_mean"])
    with canvas.style():
        figure, axes = canvas.blank(*SIZE)
        canvas.dress(axes, STAND_INS, "final gap: validation loss - training loss (nats)", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        _scatter(axes, shown, "gap_last_mean", "gap_last_sd")
        title = "Test accuracy against the final gap"
        return canvas.inline(figure, "trade-off", title, _in_words(shown, "gap_last_mean", "final gap"))


def cost(table: pd.DataFrame) -> Markup:
    """Draw test accuracy against the seconds that training one seed took, on a logarithmic scale."""
    shown = table.dropna(subset=["seconds_mean", "test_accuracy_mean"])
    with canvas.style():
        figure, axes = canvas.blank(*SIZE)
        canvas.dress(axes, STAND_INS, "training time of one seed (seconds)", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.tick_params(which="minor", colors=STAND_INS["muted"], length=0, labelsize=9)
        _scatter(axes, shown, "seconds_mean", None)
        title = "Test accuracy against training seconds"
        return canvas.inline(figure, "cost", title, _in_words(shown, "seconds_mean", "seconds"))


def depth(study: Study, table: pd.DataFrame) -> Markup:
    """Draw test accuracy from all frozen to unfrozen ever deeper, beside the network from scratch.

    Dots are seeds; bars are 95% intervals over seeds and test images.
    """
    start = study.params.finetune.head
    steps = {f"head@{start}": "all frozen", **{n: f"from {n.split('@')[1]}" for n in study.names("finetune")}}
    steps[f"scratch@{start}"] = "from scratch"
    rows = table.set_index("model").reindex(steps).dropna(subset=["test_accuracy_ci_low"])
    with canvas.style():
        figure, axes = canvas.blank(*SIZE)
        canvas.dress(axes, STAND_INS, "unfrozen part of VGG16", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        for place, (name, row) in enumerate(rows.iterrows()):
            _step(axes, place, row, study.seeds(name)["test_accuracy"])
        axes.set_xticks(range(len(rows)), [steps[name] for name in rows.index])
        axes.set_xlim(-0.6, len(rows) - 0.4)
        title = "Test accuracy by fine-tuning depth"
        return canvas.inline(figure, "depth", title, _in_words(rows.reset_index(), "gap_last_mean", "final gap"))


def _step(axes: Axes, place: int, row: pd.Series, seeds: pd.Series) -> None:
    colour, marker = STAND_INS[row["family"]], MARKERS[row["family"]]
    low, high, mean = row["test_accuracy_ci_low"], row["test_accuracy_ci_high"], row["test_accuracy_mean"]
    axes.plot([place, place], [low, high], color=colour, linewidth=2.4)
    axes.plot([place], [mean], marker, color=colour, markersize=9)
    beside = place + 0.16 + 0.05 * np.arange(len(seeds))
    axes.plot(beside, seeds, ".", color=STAND_INS["muted"], markersize=5)


def _scatter(axes: Axes, shown: pd.DataFrame, column: str, spread: str | None) -> None:
    for family, rows in shown.groupby("family", sort=False):
        colour = STAND_INS[family]
        x, y = rows[column], rows["test_accuracy_mean"]
        bars = {
            "yerr": rows["test_accuracy_sd"].fillna(0),
            "xerr": rows[spread].fillna(0) if spread else None,
        }
        axes.errorbar(x, y, **bars, fmt="none", ecolor=colour, alpha=0.45, linewidth=1.2)
        axes.plot(x, y, MARKERS[family], color=colour, markersize=7, label=family)
    axes.margins(0.12)
    spots = zip(shown["model"], shown[column], shown["test_accuracy_mean"], strict=True)
    named = [(model.split("@")[-1], (x, y)) for model, x, y in spots]
    labels.place(axes, named, STAND_INS["ink"], STAND_INS["muted"])


def _in_words(rows: pd.DataFrame, column: str, name: str) -> str:
    """Say in words what the points show."""
    spots = zip(rows["model"], rows["test_accuracy_mean"], rows[column], strict=True)
    return "; ".join(f"{model}: accuracy {accuracy:.1%}, {name} {value:.2f}" for model, accuracy, value in spots) + "."
