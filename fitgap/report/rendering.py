"""Render the report's templates: what they may use, and how values are escaped."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

SCRIPT = Path(__file__).parent / "templates/report.js"


def read_script() -> dict[str, Markup]:
    """Return the page's script as `text`, and its hash as a `source` of the page's Content-Security-Policy.

    So no other script runs, not even one in a class name that is not escaped: CSP level 3,
    https://www.w3.org/TR/CSP3/#grammardef-hash-source.
    """
    text = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return {"text": Markup(text), "source": Markup(f"sha256-{digest}")}


def render_template(name: str, content: dict[str, Any]) -> str:
    """Return the text of a template in templates/, filled with `content`.

    All values are escaped. Filters of its own: `bold` for **names**, and `cell` for cells of Markdown tables.
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
