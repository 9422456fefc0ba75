"""Training and validation curves: one panel per variant on common axes, a band over repetitions, a shaded gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fitgap.claims.study import Study
from fitgap.definitions.families import family_of
from fitgap.report.figures import canvas
from fitgap.report.figures.canvas import LIGHT, STAND_INS

UNITS = {"loss": "nats", "accuracy": "%"}
LABELS = {"loss": "cross-entropy (nats)", "accuracy": "accuracy"}
SIZE = (300, 205)  # points
FRAME = {"left": 0.155, "right": 0.96, "top": 0.97, "bottom": 0.19}  # of the axes, from the lower left corner


@dataclass(frozen=True)
class Panel:
    """A panel: the drawing, and the curves in it as numbers for the page's script (`readable` in report.js)."""

    svg: Markup
    values: dict[str, Any]


def draw_panels(study: Study, family: str, measurement: str = "loss") -> dict[str, Panel]:
    """Draw one panel per variant of a family, on common axes; return model name -> panel.

    `measurement` is "loss" or "accuracy". Models without a history have no panel.
    """
    histories = _histories(study, family)
    frame = axis_limits(histories, measurement) if histories else None
    panels = {}
    for number, (name, history) in enumerate(histories.items()):
        title = f"{measurement} curves of {name}"
        svg = canvas.draw(
            f"{family}-{measurement}-{number}",
            title,
            describe_curves(history, measurement),
            lambda axes, history=history: draw_curves(axes, history, measurement, frame, STAND_INS),
            ("epoch", LABELS[measurement]),
            SIZE,
            FRAME,
        )
        panels[name] = Panel(svg, tabulate_curves(history, measurement, title, frame[0]))
    return panels


def tabulate_curves(history: pd.DataFrame, measurement: str, title: str, last: int) -> dict[str, Any]:
    """Return a panel's curves as JSON values: means over repetitions by epoch, None where they are not finite.

    `frame` says where the axes are, as shares of the drawing from its upper left corner; they end at epoch `last`.
    """
    mean = history.groupby("epoch").mean()
    lines = {"training": mean[f"train_{measurement}"], "validation": mean[f"val_{measurement}"]}
    if measurement == "loss":
        lines["gap"] = lines["validation"] - lines["training"]
    return {
        "title": title,
        "epochs": mean.index.tolist(),
        "last": int(last),
        "frame": FRAME | {"top": round(1 - FRAME["top"], 3), "bottom": round(1 - FRAME["bottom"], 3)},
        "unit": UNITS[measurement],
        "lines": [
            [name, [round(value, 4) if np.isfinite(value) else None for value in values]]
            for name, values in lines.items()
        ],
    }


def write_sheet(study: Study, path: Path, family: str, strengths: Mapping[str, str]) -> None:
    """Write all loss curves of a family as one PNG image on white, e.g. for a README; `strengths` by model."""
    histories = _histories(study, family)
    frame, columns = axis_limits(histories, "loss"), min(3, len(histories))
    rows = -(-len(histories) // columns)
    width, height = 270 * columns, 185 * rows + 26
    with canvas.report_style():
        figure, grid = canvas.new_figure(width, height, rows, columns, squeeze=False)
        for axes, (name, history) in zip(grid.flat, histories.items(), strict=False):
            canvas.style_axes(axes, LIGHT, "epoch", LABELS["loss"])
            draw_curves(axes, history, "loss", frame, LIGHT)
            last = history.groupby("epoch")[["train_loss", "val_loss"]].mean().iloc[-1]
            title = f"{name.split('@')[1]}   final gap {last['val_loss'] - last['train_loss']:.2f}"
            axes.set_title(title, loc="left", fontsize=11, color=LIGHT["ink"])
            style = {"ha": "right", "va": "top", "fontsize": 8, "color": LIGHT["muted"]}
            axes.text(0.99, 0.98, strengths[name].replace(", ", "\n"), transform=axes.transAxes, **style)
        for axes in grid.flat[len(histories) :]:
            axes.set_axis_off()
        figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="upper center", ncols=3, frameon=False)
        margins = {"top": 1 - 46 / height, "bottom": 36 / height, "left": 40 / width, "right": 1 - 8 / width}
        figure.subplots_adjust(**margins, hspace=0.5, wspace=0.25)
        canvas.write_figure(figure, path)


def axis_limits(histories: Mapping[str, pd.DataFrame], measurement: str) -> tuple[float, float, float]:
    """Return the limits of the common axes: last epoch, lowest value, highest value.

    Losses above 2.5 times the 95th percentile are cut, so that one exploding curve does not flatten all others.
    """
    columns = [f"train_{measurement}", f"val_{measurement}"]
    values = pd.concat([history[columns] for history in histories.values()]).to_numpy()
    values = values[np.isfinite(values)]
    last = max(history["epoch"].max() for history in histories.values())
    if measurement == "accuracy" or not len(values):
        return last, float(np.floor(values.min() * 10) / 10) if len(values) else 0.0, 1.0
    return last, 0.0, 1.05 * float(min(values.max(), 2.5 * np.quantile(values, 0.95)))


def draw_curves(axes: Axes, history: pd.DataFrame, measurement: str, frame, colours: Mapping[str, str]) -> None:
    """Draw the mean curves over repetitions, their range, the gap and the best epoch.

    `frame` comes from `axis_limits`.
    """
    last, low, high = frame
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_ylim(low, high)
    by_epoch = history.groupby("epoch")
    mean, lowest, highest = (getattr(by_epoch, what)() for what in ("mean", "min", "max"))
    training, validation = mean[f"train_{measurement}"], mean[f"val_{measurement}"]
    shade = {"color": colours["gap"], "alpha": 0.16, "linewidth": 0}
    axes.fill_between(mean.index, training, validation, label="gap", **shade)
    for column, label, line in ((training.name, "training", (0, (4, 1.5))), (validation.name, "validation", "-")):
        colour = colours[label]
        axes.fill_between(mean.index, lowest[column], highest[column], color=colour, alpha=0.22, linewidth=0)
        axes.plot(mean.index, mean[column], color=colour, linewidth=1.8, linestyle=line, label=label)
    if mean["val_loss"].notna().any():
        best = mean["val_loss"].idxmin()
        axes.plot([best], [validation[best]], "o", markersize=5, color=colours["validation"])


def describe_curves(history: pd.DataFrame, measurement: str) -> str:
    """Return a text description of a panel."""
    mean = history.groupby("epoch").mean()
    first, last = mean.iloc[0], mean.iloc[-1]
    return (
        f"Mean over {history['seed'].nunique()} repetitions, epoch 1 to {mean.index[-1]}: "
        f"training from {first[f'train_{measurement}']:.2f} to {last[f'train_{measurement}']:.2f}, "
        f"validation from {first[f'val_{measurement}']:.2f} to {last[f'val_{measurement}']:.2f}."
    )


def families_with_curves(study: Study) -> list[str]:
    """Return the names of the families whose models have curves."""
    families = dict.fromkeys(map(family_of, study.results))
    return [family for family in families if _histories(study, family)]


def _histories(study: Study, family: str) -> dict[str, pd.DataFrame]:
    histories = {name: study.history(name) for name in study.names(family)}
    return {name: history for name, history in histories.items() if history is not None}
