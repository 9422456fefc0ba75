"""Everything that stands in reports/, written into a folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitgap.report.claims_table import claims_table
from fitgap.report.curves_table import curves_table
from fitgap.report.environment import environment
from fitgap.report.figures import curves
from fitgap.report.page import html, markdown
from fitgap.report.study import Study
from fitgap.report.summary import summary


def write(folder: Path, study: Study, claims: list[dict[str, Any]], registration: Mapping[str, str] | None) -> None:
    """Write the report as HTML and as Markdown, its tables and its curves; `registration` is as `html` takes it."""
    table, about = summary(study), environment()
    for name, rows in {"curves": curves_table(study), "claims": claims_table(claims), "summary": table}.items():
        rows.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    texts = {
        "report.html": html(study, table, claims, about, registration),
        "report.md": markdown(study, table, claims, about, registration),
        "claims.json": json.dumps(claims, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for family in curves.families(study):
        curves.sheet(study, folder / f"curves-{family}.png", family)
