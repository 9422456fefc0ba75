"""The forest plot of all statements: one row each, as HTML with a small SVG drawing that stretches.

A forest plot shows many intervals on one axis: Lewis and Clarke, Forest plots: trying to see the wood and the trees,
BMJ 322 (2001), doi:10.1136/bmj.322.7300.1479. One large SVG would be unreadable on a phone, because its text shrinks
with it. Here only the bars stretch: their places are percentages of the row's width, and the shapes keep their size.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, SUPPORTED, VERDICTS
from fitgap.report import formatting

SHAPES = {  # centred at 0, 0; distinct without colour
    SUPPORTED: '<circle r="5.5" fill="currentColor"/>',
    CONTRADICTED: '<rect x="-5" y="-5" width="10" height="10" fill="currentColor"/>',
    NO_DIFFERENCE: '<path d="M0 -7 7 0 0 7 -7 0Z" fill="currentColor"/>',
    INCONCLUSIVE: '<circle r="5" fill="var(--paper)" stroke="currentColor" stroke-width="2"/>',
}
ARROW = '<path d="M0 -1.25H{0}V-4.5L{1} 0 {0} 4.5V1.25H0Z" fill="currentColor"/>'
ARROWS = {"beyond-low": ARROW.format(-8, -15), "beyond-high": ARROW.format(8, 15)}  # longer than half a shape
SWATCH = Markup('<rect class="band" width="100%" height="100%"/>')
NARROWEST, WIDEST = 3, 8  # limits of the axis, in margins
EDGE = 6  # percent of the width beyond each end of the axis, for arrow heads


@dataclass(frozen=True)
class Row:
    """A claim's interval in units of its margin; values above 0 speak for the statement.

    Attributes
    ----------
    claim : dict
        An entry of claims.json.
    value, low, high : float or None
        None if nothing was measured. Without an interval, `low` and `high` equal `value`.
    """

    claim: dict[str, Any]
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def has_margin(self) -> bool:
        """Whether the unit is a margin; otherwise it is half the width of the interval."""
        return self.claim["margin"] is not None


def standardise(claim: dict[str, Any]) -> Row:
    """Return a claim's row: its interval divided by its margin, or by half the interval's width without one."""
    value, low, high = (claim[key] for key in ("estimate", "ci_low", "ci_high"))
    if value is None:
        return Row(claim)
    low, high = (value, value) if low is None else (low, high)
    unit = claim["margin"] or (high - low) / 2 or abs(value) or 1.0
    side = -1 if claim["direction"] == "below" else 1
    low, high = sorted(side * end / unit for end in (low, high))
    return Row(claim, side * value / unit, low, high)


def axis_limit(rows: Iterable[Row]) -> int:
    """Return the axis' upper limit in margins: it shows all estimates that have a margin, up to WIDEST."""
    values = [abs(row.value) for row in rows if row.value is not None and row.has_margin]
    return min(max(NARROWEST, math.ceil(max(values, default=0))), WIDEST)


def draw_forest(claims: list[dict[str, Any]]) -> Markup:
    """Draw the forest plot of all claims: groups by topic, in the order of the claims.

    Each row leads to the claim's row in the table (#claim-ID). Verdicts differ by shape and colour. Intervals beyond
    the axis end in an arrow head.
    """
    rows = [standardise(claim) for claim in claims]
    limit = axis_limit(rows)
    axis = _axis(limit)
    groups = Markup("").join(
        _group(number, heading, [standardise(claim) for claim in found], limit)
        for number, (heading, found) in enumerate(formatting.by_topic(claims).items())
    )
    return Markup('<figure class="forest">{}{}{}{}{}{}<figcaption>{}</figcaption></figure>').format(
        _symbols(), draw_legend(claims), _sides(), axis, groups, axis, _caption(rows)
    )


def draw_legend(claims: list[dict[str, Any]]) -> Markup:
    """Draw the legend: each verdict's shape and the number of claims with it."""
    verdicts = [claim["verdict"] for claim in claims]
    items = [_legend_item(verdict, verdicts.count(verdict)) for verdict in VERDICTS if verdict in verdicts]
    band = Markup('<li><svg aria-hidden="true">{}</svg>differences that are not relevant</li>').format(SWATCH)
    return Markup('<ul class="key verdicts" aria-label="Verdicts on the statements">{}{}</ul>').format(
        Markup("").join(items), band
    )


def _legend_item(verdict: str, count: int) -> Markup:
    shape = Markup("")
    if verdict in SHAPES:
        shape = Markup('<svg aria-hidden="true">{}</svg>').format(_use(verdict, 50))
    return Markup('<li class="{}">{}{} {}</li>').format(_slug(verdict), shape, count, verdict)


def _group(number: int, heading: str, rows: list[Row], limit: int) -> Markup:
    return Markup('<p class="topic" id="topic-{}">{}</p><ul class="rows" aria-labelledby="topic-{}">{}</ul>').format(
        number, heading, number, Markup("").join(_row(row, limit) for row in rows)
    )


def _row(row: Row, limit: int) -> Markup:
    claim = row.claim
    dagger = "" if row.value is None or row.has_margin else " †"
    missing = Markup('<span class="bar missing">{}</span>').format(claim["verdict"])
    return Markup('<li class="{}"><a href="#claim-{}">{}</a>{}<span class="estimate">{}{}</span></li>').format(
        _slug(claim["verdict"]),
        claim["id"],
        claim["statement"],
        missing if row.value is None else _bar(row, limit),
        "" if row.value is None else formatting.estimated(claim),
        dagger,
    )


def _bar(row: Row, limit: int) -> Markup:
    """Draw one interval; `limit` is where the axis ends."""
    low, high, value = (_place(number, limit) for number in (row.low, row.high, row.value))
    parts = [_band(limit)] if row.has_margin else []
    parts.append(_line("zero", 50))
    parts.append(Markup('<line class="span" x1="{0}%" x2="{1}%" y1="50%" y2="50%"/>').format(low, high))
    parts += [_use("beyond-low", low)] if row.low < -limit else []
    parts += [_use("beyond-high", high)] if row.high > limit else []
    parts.append(_use(row.claim["verdict"], value))
    words = f"{row.claim['verdict']}: {formatting.measured(row.claim)}"
    drawing = Markup('<svg role="img" aria-label="{}">{}</svg>').format(words, Markup("").join(parts))
    return Markup('<span class="bar">{}</span>').format(drawing)


def _band(limit: int) -> Markup:
    """Draw the differences that are not relevant: shaded, with lines at both ends."""
    low, high = _place(-1, limit), _place(1, limit)
    shade = Markup('<rect class="band" x="{}%" width="{}%" height="100%"/>').format(low, round(high - low, 2))
    return shade + _line("end", low) + _line("end", high)


def _line(name: str, place: float) -> Markup:
    return Markup('<line class="{0}" x1="{1}%" x2="{1}%" y1="0" y2="100%"/>').format(name, place)


def _place(value: float, limit: int) -> float:
    """Return the place of a value in percent of the width; values beyond the axis are at its end."""
    clipped = min(max(value / limit, -1.0), 1.0)
    return round(50 + (50 - EDGE) * clipped, 2)


def _sides() -> Markup:
    sides = Markup("<span>← against</span><span>for →</span><span>difference</span>")
    return Markup('<div class="sides" aria-hidden="true">{}</div>').format(sides)


def _axis(limit: int) -> Markup:
    """Draw the axis' numbers; screen readers have the numbers of each row instead."""
    step = 1 if limit <= 4 else 2
    ticks = [tick for tick in range(-limit, limit + 1) if tick % step == 0]
    numbers = [
        Markup('<text x="{}%" y="14">{}</text>').format(_place(n, limit), f"{n}".replace("-", "−")) for n in ticks
    ]
    drawing = Markup('<span class="bar"><svg aria-hidden="true">{}</svg></span>').format(Markup("").join(numbers))
    return Markup('<div class="axis" aria-hidden="true">{}<span>margins</span></div>').format(drawing)


def _caption(rows: list[Row]) -> str:
    said = [
        "Right of the dotted line speaks for the statement.",
        "Lines are the intervals that decide the verdicts.",
        "The unit is the statement's margin: differences within ±1, the grey band, are not relevant.",
    ]
    if any(row.value is not None and not row.has_margin for row in rows):
        said.append("† has no margin: there the unit is half the width of the interval.")
    said.append(
        "An arrow head marks an interval that goes on beyond the axis; a shape beside one lies beyond it too. Each "
        "statement leads to its numbers."
    )
    return " ".join(said)


def _symbols() -> Markup:
    """Define the shapes once; `use` elements place them."""
    named = {_slug(verdict): shape for verdict, shape in SHAPES.items()}
    shapes = Markup("").join(
        Markup('<g id="mark-{}">{}</g>').format(name, Markup(shape)) for name, shape in (named | ARROWS).items()
    )
    return Markup('<svg class="symbols" aria-hidden="true"><defs>{}</defs></svg>').format(shapes)


def _use(name: str, place: float) -> Markup:
    return Markup('<use href="#mark-{}" x="{}%" y="50%"/>').format(_slug(name), place)


def _slug(verdict: str) -> str:
    return verdict.replace(" ", "-")
