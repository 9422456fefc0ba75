"""Place labels beside points, without overlaps between labels or with points.

Libraries such as adjustText push labels apart step by step and keep all of them; here a label that would cover
something is left out, because the table beside the figure has its numbers.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

SIZE = 9  # font size in points
LETTER = 0.56  # mean letter width as a fraction of the font size; an estimate, since browsers choose the font
CLEARANCE = 7  # points between a marker's centre and its label
STEPS = (0, 11, 22, 33, 44)  # vertical offsets to try, in points


def place_labels(axes: Axes, points: list[tuple[str, tuple[float, float]]], colour: str, line: str) -> None:
    """Write a label beside each point, with a thin connecting line if it had to move away.

    `points` are (label, (x, y)) in data coordinates. The axes' limits and position must be final. A label is left
    out if there is no free place for it.
    """
    axes.get_xlim(), axes.get_ylim()  # matplotlib computes limits lazily; transData needs them
    to_points = 72 / axes.figure.dpi
    spots = [(name, axes.transData.transform(point) * to_points) for name, point in points]
    frame = np.asarray(axes.bbox.extents) * to_points
    taken = [(x - 5, y - 5, x + 5, y + 5) for _, (x, y) in spots]
    for name, (x, y) in sorted(spots, key=lambda item: -item[1][1]):
        candidates = [box for box in _candidates(x, y, name) if _inside(box, frame)]
        free = (box for box in candidates if not any(_overlap(box, other) for other in taken))
        box = next(free, None)
        if box is None:  # no free place: leave the label out, the table has the name
            continue
        taken.append(box)
        _write(axes, name, (x, y), box, colour, line)


def _candidates(x: float, y: float, name: str) -> Iterator[tuple[float, float, float, float]]:
    width = len(name) * SIZE * LETTER
    for step in STEPS:
        for rise in {step, -step}:
            for left in (x + CLEARANCE, x - CLEARANCE - width):
                yield (left, y + rise - SIZE / 2, left + width, y + rise + SIZE / 2)
        for rise in (step + CLEARANCE + SIZE / 2, -step - CLEARANCE - SIZE / 2):
            yield (x - width / 2, y + rise - SIZE / 2, x + width / 2, y + rise + SIZE / 2)


def _write(axes: Axes, name: str, point, box, colour: str, line: str) -> None:
    x, y = point
    left, middle = box[0], (box[1] + box[3]) / 2
    near = abs(middle - y) < CLEARANCE + SIZE
    axes.annotate(
        name,
        axes.transData.inverted().transform((x * axes.figure.dpi / 72, y * axes.figure.dpi / 72)),
        xytext=(left - x, middle - y),
        textcoords="offset points",
        fontsize=SIZE,
        color=colour,
        va="center_baseline",
        arrowprops=None if near else {"arrowstyle": "-", "color": line, "linewidth": 0.7, "shrinkA": 0},
    )


def _overlap(one, other) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(box, frame) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
