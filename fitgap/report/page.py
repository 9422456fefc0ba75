"""Write the folder reports/: the self-contained report.html, report.md with the same tables, and data files."""

import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fitgap.claims.calibration import BINS, Calibration, measure_calibrations
from fitgap.claims.study import Study
from fitgap.definitions.families import FAMILIES, TRAINED
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, NO_DIFFERENCE, NOT_APPLICABLE, SUPPORTED, VERDICTS
from fitgap.report import formatting
from fitgap.report.answer import count_images, describe_coverage, write_answer
from fitgap.report.attribution import NO_SHEET, Sheet
from fitgap.report.figures import calibration, curves, learning_curve, models
from fitgap.report.figures.canvas import COLOURS
from fitgap.report.figures.forest import draw_forest
from fitgap.report.mistakes import collect_mistakes
from fitgap.report.pace import measure_paces
from fitgap.report.rendering import read_script, render_template
from fitgap.report.tables import claims_table, curves_table, summary_table

SIGNS = {SUPPORTED: "✓", CONTRADICTED: "✗", NO_DIFFERENCE: "≈", INCONCLUSIVE: "?", NOT_APPLICABLE: "–"}
Claims, Facts = list[dict[str, Any]], Mapping[str, str]
MAX_CLASSES = 15  # larger confusion matrices are unreadable; the worst classes are listed instead


def render_html(
    study: Study,
    table: pd.DataFrame,
    claims: Claims,
    about: Facts,
    registration: Facts | None = None,
    sheet: Sheet = NO_SHEET,
) -> str:
    """Return the text of report.html.

    Parameters
    ----------
    study : Study
    table : DataFrame
        From `summary_table`.
    claims : list of dict
        From `judge_all`.
    about : mapping
        Name -> value of the software versions and the machine, shown as they are.
    registration : mapping, optional
        Outcome of registering the best model, from `Registration.facts`: `why`, and `address` and `version` if
        there is a registered version to load.
    sheet : Sheet, optional
        What the best model looks at.
    """
    content = _content(study, table, claims, about, registration)
    return render_template("report.html.j2", {**content, **_drawn(study, table, claims), "sheet": sheet})


def render_markdown(
    study: Study, table: pd.DataFrame, claims: Claims, about: Facts, registration: Facts | None = None
) -> str:
    """Return the text of report.md: same content as `render_html`, without figures."""
    text = render_template("report.md.j2", _content(study, table, claims, about, registration))
    return text.replace("&#39;", "'").replace("&#34;", '"')  # quotes are safe outside of tags


def _content(study: Study, table: pd.DataFrame, claims: Claims, about: Facts, registration: Facts | None) -> dict:
    verdicts = [claim["verdict"] for claim in claims]
    curve, calibrations = learning_curve.measure_learning_curve(study), _calibrations(study)
    return {
        "study": study,
        "params": study.params,
        "data_title": formatting.data_title(study.params.data),
        "answer": write_answer(study, table, claims),
        "curve_families": curves.families_with_curves(study),
        "images": count_images(study),
        "coverage": describe_coverage(study),
        "claims": claims,
        "topics": formatting.by_topic(claims),
        "tally": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
        "signs": SIGNS,
        "headings": formatting.MODEL_HEADINGS,
        "rows": formatting.model_rows(table),
        "bins": BINS,
        "fewest": calibration.FEWEST,
        "calibrations": {family: formatting.calibration_rows(found) for family, found in calibrations.items()},
        "without_model": study.params.without_model,
        "tables": formatting,
        "mistakes": collect_mistakes(study, study.best) if study.best else None,
        "most_classes": MAX_CLASSES,
        "curve": curve,
        "curve_rows": learning_curve.tabulate_curve(curve) if curve else [],
        "without_curve": learning_curve.explain_absence(study),
        "paces": measure_paces(study) if study.is_transfer else [],
        "about": about,
        "registration": registration,
        "declared": _flat(study.params.model_dump()),
    }


def _drawn(study: Study, table: pd.DataFrame, claims: Claims) -> dict[str, Any]:
    """Draw all figures; those without data are None, and the page notes that."""
    offered = table[~table["failed"] & table["family"].map(lambda name: FAMILIES[name].is_offered)]
    timed = study.is_transfer and offered["seconds_mean"].notna().any()
    families, calibrations = _families(study), _calibrations(study)
    return {
        "colours": COLOURS,
        "script": read_script(),
        "families": families,
        "curves": {
            (family, what): curves.draw_panels(study, family, what)
            for family in families
            for what in ("loss", "accuracy")
        },
        "trade_off": models.draw_trade_off(offered),
        "cost": models.draw_cost(offered) if timed else None,
        "progress": models.draw_progress(study, measure_paces(study)) if timed else None,
        "depth": models.draw_depth(study, offered) if study.is_transfer else None,
        "blocks": models.draw_blocks(study) if study.is_transfer and study.probe else None,
        "reliability": {family: calibration.draw_reliability(family, found) for family, found in calibrations.items()},
        "calibration": {family: calibration.draw_differences(family, found) for family, found in calibrations.items()},
        "forest": draw_forest(claims),
        "learning_curve": learning_curve.draw_learning_curve(study),
    }


REMEDIED = ("scratch", "head")  # families with a model of each variant


def _calibrations(study: Study) -> dict[str, list[Calibration]]:
    """Return the calibrations of the families with remedies: family name -> one of each model with answers."""
    measured = {family: measure_calibrations(study, family) for family in REMEDIED}
    return {family: found for family, found in measured.items() if found}


def _families(study: Study) -> dict[str, str]:
    """Return the headings of the families with results: family name -> heading."""
    rates = {"highrate": study.params.highrate.learning_rate, "scratch": study.params.scratch.learning_rate}
    return {name: FAMILIES[name].heading.format(**rates) for name in TRAINED if study.names(name)}


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested params as dotted keys, without unset values and inactive remedies."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{key}.")
        elif value is not None and not (above.startswith("variants.") and np.all(value == 0)):
            found[above + key] = value
    return found


def write_report(
    folder: Path, study: Study, claims: Claims, registration: Facts | None, sheet: Sheet = NO_SHEET
) -> None:
    """Write report.html, report.md, the tables and the curves to `folder`; the last arguments as in `render_html`."""
    table, about = summary_table(study), environment()
    for name, rows in {"curves": curves_table(study), "claims": claims_table(claims), "summary": table}.items():
        rows.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    texts = {
        "report.html": render_html(study, table, claims, about, registration, sheet),
        "report.md": render_markdown(study, table, claims, about, registration),
        "claims.json": json.dumps(claims, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for family in curves.families_with_curves(study):
        curves.write_sheet(study, folder / f"curves-{family}.png", family)
    learning_curve.write_learning_curve(study, folder / "learning_curve.png")


PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "mlflow", "dvc")


def environment() -> dict[str, str]:
    """Return software versions and the machine: {"Python": "3.11.9", "tensorflow": "2.21.0", ..., "machine": ...}."""
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions | {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"}
