"""A claim's interval as a small bar beside its numbers: right of the middle speaks for the statement."""

from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT = 120, 16


def interval(claim: dict[str, Any]) -> Markup:
    """Draw a claim's interval, turned so that right of the middle line speaks for it; empty without one."""
    if claim["ci_low"] is None:
        return Markup("")
    side = -1 if claim["direction"] == "below" else 1
    mean = side * claim["estimate"]
    low, high = sorted(side * claim[end] for end in ("ci_low", "ci_high"))
    reach = max(abs(low), abs(high)) or 1.0
    left, right, dot = (WIDTH / 2 * (1 + 0.94 * value / reach) for value in (low, high, mean))
    middle = HEIGHT / 2
    return Markup(
        f'<svg class="interval" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'<line class="zero" x1="{WIDTH / 2}" x2="{WIDTH / 2}" y1="0" y2="{HEIGHT}"/>'
        f'<line class="span" x1="{left:.1f}" x2="{right:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<circle cx="{dot:.1f}" cy="{middle}" r="4"/></svg>'
    )
