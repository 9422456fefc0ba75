"""report.html, one self-contained file, and report.md with the same tables."""

import re
from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from fitgap.report import tables
from fitgap.report.answer import answer
from fitgap.report.figures import blocks, curves, points, progress
from fitgap.report.figures.interval import interval
from fitgap.report.figures.palette import COLOURS
from fitgap.report.mistakes import mistakes
from fitgap.report.pace import paces
from fitgap.report.study import Study
from fitgap.report.verdicts import CONTRADICTED, INCONCLUSIVE, NOT_APPLICABLE, SUPPORTED, VERDICTS

FAMILIES = {
    "scratch": "From scratch: the notes' network",
    "highrate": "The same at a learning rate of {highrate:g} instead of {scratch:g}",
    "head": "Way 2: a new classifier on the frozen base",
    "finetune": "Way 3: fine-tuning from a depth on",
}
SIGNS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "?", NOT_APPLICABLE: "–"}
Claims, Facts = list[dict[str, Any]], Mapping[str, str]
MOST_CLASSES = 15  # beyond this a confusion matrix cannot be read; the worst classes are listed instead


def html(study: Study, table: pd.DataFrame, claims: Claims, about: Facts, registration: Facts | None = None) -> str:
    """Give report.html.

    `table` is what `summary` gives, `claims` what `judge_all` gives, and `about` holds versions, machine, git
    revision and whatever else ran, shown as name and value. `registration` says what became of the best model:
    `why`, and `address` and `version` where there is one to load.
    """
    content = _content(study, table, claims, about, registration)
    return _render("report.html.j2", {**content, **_drawn(study, table)})


def markdown(study: Study, table: pd.DataFrame, claims: Claims, about: Facts, registration: Facts | None = None) -> str:
    """Give report.md: the same answer and tables as `html`, without figures."""
    text = _render("report.md.j2", _content(study, table, claims, about, registration))
    return text.replace("&#39;", "'").replace("&#34;", '"')  # harmless outside of tags, and easier to read


def _content(study: Study, table: pd.DataFrame, claims: Claims, about: Facts, registration: Facts | None) -> dict:
    verdicts = [claim["verdict"] for claim in claims]
    return {
        "study": study,
        "params": study.params,
        "answer": answer(study, table, claims),
        "curve_families": curves.families(study),
        "claims": claims,
        "tally": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
        "signs": SIGNS,
        "headings": tables.MODEL_HEADINGS,
        "rows": tables.model_rows(table),
        "tables": tables,
        "mistakes": mistakes(study, study.best) if study.best else None,
        "most_classes": MOST_CLASSES,
        "paces": paces(study) if study.is_transfer else [],
        "about": about,
        "registration": registration,
        "declared": _flat(study.params.model_dump()),
    }


def _drawn(study: Study, table: pd.DataFrame) -> dict[str, Any]:
    """Draw everything; a figure without data is None, and the page says so."""
    offered = table[~table["failed"] & (table["family"] != "highrate")]
    timed = study.is_transfer and offered["seconds_mean"].notna().any()
    families = _families(study)
    return {
        "colours": COLOURS,
        "families": families,
        "curves": {
            (family, what): curves.panels(study, family, what) for family in families for what in ("loss", "accuracy")
        },
        "trade_off": points.trade_off(offered),
        "cost": points.cost(offered) if timed else None,
        "progress": progress.progress(study, paces(study)) if timed else None,
        "depth": points.depth(study, offered) if study.is_transfer else None,
        "blocks": blocks.by_block(study) if study.is_transfer and study.probe else None,
        "interval": interval,
    }


def _families(study: Study) -> dict[str, str]:
    """Give the headings of the families that have results."""
    rates = {"highrate": study.params.highrate.learning_rate, "scratch": study.params.scratch.learning_rate}
    return {family: title.format(**rates) for family, title in FAMILIES.items() if study.names(family)}


def _render(name: str, content: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fitgap.report"),
        autoescape=True,  # a class named <script> is shown, not run; in Markdown too, which may hold HTML
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"bold": _bold, "cell": _cell}
    return environment.get_template(name).render(content)


def _bold(text: str) -> Markup:
    """Turn **this** into bold, after everything else is made harmless."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))


def _cell(text: Any) -> Markup:
    """Make a text fit for one cell of a Markdown table."""
    return Markup(" ".join(str(escape(text)).split()).replace("|", "&#124;"))


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Give nested params as dotted keys; what is at its default of "none" stays out."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{key}.")
        elif value is not None and not (above.startswith("variants.") and np.all(value == 0)):
            found[above + key] = value
    return found
