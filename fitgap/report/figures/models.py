"""Figures that compare models: accuracy against gap, time and depth, and probes by block."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from fitgap.claims.study import Study
from fitgap.definitions.families import family_of
from fitgap.definitions.vgg16_layers import BLOCKS
from fitgap.inference.estimates import estimate_over_seeds_and_images
from fitgap.report.figures import canvas, labels
from fitgap.report.figures.canvas import MARKERS, STAND_INS
from fitgap.report.pace import Pace

SIZE = (430, 330)  # points
MARGINS = {"left": 0.13, "right": 0.98, "top": 0.97, "bottom": 0.14}


def draw_trade_off(table: pd.DataFrame) -> Markup:
    """Draw test accuracy against the final gap for every trained model."""
    shown = table.dropna(subset=["gap_last_mean", "test_accuracy_mean"])
    with canvas.report_style():
        figure, axes = canvas.new_figure(*SIZE)
        canvas.style_axes(axes, STAND_INS, "final gap: validation loss - training loss (nats)", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        _scatter(axes, shown, "gap_last_mean", "gap_last_sd")
        title = "Test accuracy against the final gap"
        return canvas.svg_element(figure, "trade-off", title, _in_words(shown, "gap_last_mean", "final gap"))


def draw_cost(table: pd.DataFrame) -> Markup:
    """Draw test accuracy against the training time of one repetition in seconds, on a logarithmic scale."""
    shown = table.dropna(subset=["seconds_mean", "test_accuracy_mean"])
    with canvas.report_style():
        figure, axes = canvas.new_figure(*SIZE)
        canvas.style_axes(axes, STAND_INS, "training time of one repetition (seconds)", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.tick_params(which="minor", colors=STAND_INS["muted"], length=0, labelsize=9)
        _scatter(axes, shown, "seconds_mean", None)
        title = "Test accuracy against training seconds"
        return canvas.svg_element(figure, "cost", title, _in_words(shown, "seconds_mean", "seconds"))


def draw_depth(study: Study, table: pd.DataFrame) -> Markup:
    """Draw test accuracy by fine-tuning depth, from all layers frozen on, beside training from scratch.

    Dots are repetitions; bars are 95% intervals over repetitions and test images.
    """
    start = study.params.finetune.head
    steps = {f"head@{start}": "all frozen", **{n: f"from {n.split('@')[1]}" for n in study.names("finetune")}}
    steps[f"scratch@{start}"] = "from scratch"
    rows = table.set_index("model").reindex(steps).dropna(subset=["test_accuracy_ci_low"])
    with canvas.report_style():
        figure, axes = canvas.new_figure(*SIZE)
        canvas.style_axes(axes, STAND_INS, "unfrozen part of VGG16", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        for place, (name, row) in enumerate(rows.iterrows()):
            _step(axes, place, row, study.seeds(name)["test_accuracy"])
        axes.set_xticks(range(len(rows)), [steps[name] for name in rows.index])
        axes.set_xlim(-0.6, len(rows) - 0.4)
        title = "Test accuracy by fine-tuning depth"
        return canvas.svg_element(figure, "depth", title, _in_words(rows.reset_index(), "gap_last_mean", "final gap"))


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
    labels.place_labels(axes, named, STAND_INS["ink"], STAND_INS["muted"])


def _in_words(rows: pd.DataFrame, column: str, name: str) -> str:
    """Return a text description of the points."""
    spots = zip(rows["model"], rows["test_accuracy_mean"], rows[column], strict=True)
    return "; ".join(f"{model}: accuracy {accuracy:.1%}, {name} {value:.2f}" for model, accuracy, value in spots) + "."


DASHES = ("-", (0, (4, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))


def draw_progress(study: Study, paces: list[Pace]) -> Markup:
    """Draw mean validation accuracy against training time in seconds, one line per model with measured times."""
    timed = [pace for pace in paces if np.isfinite(pace.seconds_per_epoch + pace.head_start)]
    with canvas.report_style():
        figure, axes = canvas.new_figure(*SIZE)
        canvas.style_axes(axes, STAND_INS, "seconds of training (one repetition)", "validation accuracy")
        figure.subplots_adjust(**MARGINS)
        seen: dict[str, int] = {}
        for pace in timed:
            family = family_of(pace.model)
            accuracy = study.history(pace.model).groupby("epoch")["val_accuracy"].mean()
            seconds = pace.head_start + accuracy.index.to_numpy() * pace.seconds_per_epoch
            dash = DASHES[seen.setdefault(family, 0) % len(DASHES)]
            seen[family] += 1
            axes.plot(seconds, accuracy, color=STAND_INS[family], linestyle=dash, linewidth=2, label=pace.model)
        axes.set_ylim(top=1)
        axes.set_xlim(left=0)
        if timed:
            axes.legend(loc="lower right", frameon=False, labelcolor=STAND_INS["ink"], fontsize=9)
        words = "; ".join(f"{pace.model}: {pace.seconds_per_epoch:.2f} seconds an epoch" for pace in timed)
        return canvas.svg_element(figure, "progress", "Validation accuracy against training seconds", words + ".")


def draw_blocks(study: Study) -> Markup:
    """Draw the test accuracy of each block's probe, with 95% intervals over repetitions and test images."""
    estimates = [estimate_over_seeds_and_images(right) for right in study.right_by_layer(study.probe)]
    places, means = range(len(estimates)), [estimate.value for estimate in estimates]
    with canvas.report_style():
        figure, axes = canvas.new_figure(*SIZE)
        canvas.style_axes(axes, STAND_INS, "from the input to the output of VGG16", "test accuracy")
        figure.subplots_adjust(**MARGINS)
        colour = STAND_INS["head"]
        for place, estimate in zip(places, estimates, strict=True):
            axes.plot([place, place], estimate.interval() or [estimate.value] * 2, color=colour, linewidth=2.4)
        axes.plot(places, means, "s-", color=colour, linewidth=1.2, markersize=8)
        axes.set_xticks(places, BLOCKS)
        axes.set_xlim(-0.5, len(BLOCKS) - 0.5)
        words = "; ".join(f"{block}: {share:.1%}" for block, share in zip(BLOCKS, means, strict=True))
        return canvas.svg_element(figure, "blocks", "Test accuracy of linear probes by block", f"{words}.")
