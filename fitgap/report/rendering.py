"""Fill the templates in templates/; the signs of verdicts and the colours of pages.

The colours suit light and dark schemes and colour-blind readers: Okabe and Ito, Color Universal Design (2008),
https://jfly.uni-koeln.de/color/; darkened or lightened where WCAG 2.2 (1.4.11) requires a contrast of 3 to 1.
"""

import re
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup, escape

from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, NOT_APPLICABLE, SUPPORTED

SIGNS = {SUPPORTED: "✓", CONTRADICTED: "✗", NO_DIFFERENCE: "≈", INCONCLUSIVE: "?", NOT_APPLICABLE: "–"}
COLOURS = {  # name: (light, dark)
    "paper": ("#ffffff", "#15181d"),
    "ink": ("#1b1f24", "#e8ebf0"),
    "muted": ("#57606a", "#a9b3c0"),
    "grid": ("#dfe3e8", "#313842"),
    "training": ("#0072b2", "#56b4e9"),
    "validation": ("#c44e00", "#f0a13c"),
    "gap": ("#8a8f98", "#8a93a0"),
    "scratch": ("#0072b2", "#56b4e9"),
    "head": ("#c44e00", "#f0a13c"),
    "finetune": ("#007a5a", "#2fc79b"),
    "asis": ("#a2487f", "#e39ac5"),
}


def render_template(name: str, content: Mapping[str, Any]) -> str:
    """Return the text of a template in templates/, filled with `content`; all values are escaped.

    Filters of its own: `bold` for **names**, and `cell` for cells of Markdown tables.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fitgap.report"),
        autoescape=True,  # class names such as <script> must not run; Markdown may contain HTML too
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"bold": _bold, "cell": _cell}
    return environment.get_template(name).render(content)


def _bold(text: str) -> Markup:
    """Escape HTML, then turn **text** into bold."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))


def _cell(text: Any) -> Markup:
    """Escape a text for a cell of a Markdown table."""
    return Markup(" ".join(str(escape(text)).split()).replace("|", "&#124;"))
