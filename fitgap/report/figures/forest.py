"""The forest plot of all statements: what templates/forest.html.j2 draws, one row each.

A forest plot shows many intervals on one axis: Lewis and Clarke, Forest plots: trying to see the wood and the trees,
BMJ 322 (2001), doi:10.1136/bmj.322.7300.1479. One large SVG would be unreadable on a phone, because its text shrinks
with it. Here only the bars stretch: their places are percentages of the row's width, and the shapes keep their size.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fitgap.inference.verdicts import VERDICTS
from fitgap.report import formatting

NARROWEST, WIDEST = 3, 8  # limits of the axis, in margins
EDGE = 6  # percent of the width beyond each end of the axis, for arrow heads


@dataclass(frozen=True)
class Row:
    """A claim's interval in units of its margin; values above 0 speak for the statement."""

    claim: dict[str, Any]  # an entry of claims.json
    value: float | None = None  # None if nothing was measured
    low: float | None = None  # without an interval, both ends equal the value
    high: float | None = None

    @property
    def has_margin(self) -> bool:
        """Whether the unit is a margin; otherwise it is half the width of the interval."""
        return self.claim["margin"] is not None


@dataclass(frozen=True)
class Forest:
    """The rows of the forest plot, by the headings of their topics, and their common axis."""

    topics: dict[str, list[Row]]
    limit: int  # where the axis ends, in margins

    @property
    def ticks(self) -> list[int]:
        """The numbers at the axis."""
        step = 1 if self.limit <= 4 else 2
        return [tick for tick in range(-self.limit, self.limit + 1) if tick % step == 0]

    @property
    def verdicts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        counts = Counter(row.claim["verdict"] for rows in self.topics.values() for row in rows)
        return {verdict: counts[verdict] for verdict in VERDICTS if verdict in counts}

    @property
    def has_daggers(self) -> bool:
        """Whether a measured row has no margin."""
        return any(row.value is not None and not row.has_margin for rows in self.topics.values() for row in rows)

    @property
    def has_small(self) -> bool:
        """Whether a row is clear, but not relevant."""
        return any(formatting.is_small(row.claim) for rows in self.topics.values() for row in rows)

    def place(self, value: float) -> float:
        """Return the place of a value in percent of the width; values beyond the axis are at its end."""
        clipped = min(max(value / self.limit, -1.0), 1.0)
        return round(50 + (50 - EDGE) * clipped, 2)


def arrange_forest(claims: Mapping[str, list[dict[str, Any]]]) -> Forest:
    """Arrange claims under their headings; the axis shows all estimates that have a margin, up to WIDEST."""
    topics = {heading: list(map(standardise, found)) for heading, found in claims.items()}
    rows = [row for found in topics.values() for row in found]
    values = [abs(row.value) for row in rows if row.value is not None and row.has_margin]
    return Forest(topics, min(max(NARROWEST, math.ceil(max(values, default=0))), WIDEST))


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
