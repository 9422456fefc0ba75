"""Validation accuracy as training time goes by: from scratch, on a frozen base, fine-tuned."""

import numpy as np
from markupsafe import Markup

from fitgap.report.figures import canvas
from fitgap.report.figures.palette import STAND_INS
from fitgap.report.figures.points import MARGINS, SIZE
from fitgap.report.pace import Pace
from fitgap.report.study import Study

DASHES = ("-", (0, (4, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))


def progress(study: Study, paces: list[Pace]) -> Markup:
    """Draw mean validation accuracy against seconds of training, one line per model that has a pace."""
    timed = [pace for pace in paces if np.isfinite(pace.seconds_per_epoch + pace.head_start)]
    with canvas.style():
        figure, axes = canvas.blank(*SIZE)
        canvas.dress(axes, STAND_INS, "seconds of training (one seed)", "validation accuracy")
        figure.subplots_adjust(**MARGINS)
        seen: dict[str, int] = {}
        for pace in timed:
            family = pace.model.split("@")[0]
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
        return canvas.inline(figure, "progress", "Validation accuracy against training seconds", words + ".")
