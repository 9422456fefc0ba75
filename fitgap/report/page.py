"""Write the folder reports/: the self-contained report.html, report.md with the same tables, and data files."""

import base64
import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from fitgap.claims.calibration import BINS, measure_calibrations
from fitgap.claims.choices import AS_STATED, CHOICES
from fitgap.claims.claim import without_checks
from fitgap.claims.study import Study
from fitgap.definitions.families import FAMILIES, TRAINED
from fitgap.inference.verdicts import VERDICTS
from fitgap.params.schema import Params, flatten
from fitgap.report import formatting
from fitgap.report.answer import count_images, write_answer
from fitgap.report.figures import curves, learning_curve, models
from fitgap.report.figures.forest import arrange_forest
from fitgap.report.mistakes import collect_mistakes
from fitgap.report.rendering import COLOURS, SIGNS, render_template
from fitgap.report.tables import claims_table, curves_table, summary_table
from fitgap.report.trials import HEADINGS, describe_strengths, trial_rows

Claims, Facts = list[dict[str, Any]], Mapping[str, str]
FIRST_LOOK = 10  # with fewer repetitions, the report says what it cannot decide; on own pictures after the answer
MAX_CLASSES = 15  # larger confusion matrices are unreadable; the worst classes are listed instead
REMEDIED = ("scratch", "head")  # families with a model of each variant
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "mlflow", "dvc")
WAYS = {"scratch": "From scratch", "borrowed": "Built on VGG16"}
SCRIPT = Path(__file__).parent / "templates/report.js"


def write_report(folder: Path, study: Study, claims: Claims, registration: Facts | None) -> list[str]:
    """Write report.html, report.md, the tables and the curves to `folder`; return the answer's sentences.

    Arguments are as in `measure`.
    """
    content = measure(study, claims, environment(), registration)
    tables = {"curves": curves_table(study), "claims": claims_table(claims), "summary": content["table"]}
    for name, rows in tables.items():
        rows.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    texts = {
        "report.html": render_html(content),
        "report.md": render_markdown(content),
        "claims.json": json.dumps(claims, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for family in content["curve_families"]:
        curves.write_sheet(study, folder / f"curves-{family}.png", family, content["strengths"])
    if content["curve"]:
        learning_curve.write_learning_curve(content["curve"], folder / "learning_curve.png")
    return content["answer"]


def measure(study: Study, claims: Claims, about: Facts, registration: Facts | None = None) -> dict[str, Any]:
    """Return what both texts show, measured once.

    Parameters
    ----------
    claims : from `judge_all`
    about : name -> value of the software versions and the machine, shown as they are
    registration : outcome of registering the best model, from `registry.register`: `why`, and `address` and `version`
        if there is a registered version to load
    """
    table, curve = summary_table(study), learning_curve.measure_learning_curve(study)
    mistakes = collect_mistakes(study, study.best) if study.best else None
    measured = {family: measure_calibrations(study, family) for family in REMEDIED}
    counts = Counter(claim["verdict"] for claim in without_checks(claims))
    return {
        "study": study,
        "params": study.params,
        "table": table,
        "data_title": formatting.data_title(study.params.data),
        "answer": write_answer(study, table, curve, mistakes and mistakes.confusion),
        "curve_families": curves.families_with_curves(study),
        "images": count_images(study),
        "claims": claims,
        "topics": formatting.by_topic(claims),
        "tally": {verdict: counts[verdict] for verdict in VERDICTS},
        "choices": [choice.title for choice in (AS_STATED, *CHOICES)],
        "choice_rows": formatting.choice_rows(without_checks(claims)),
        "chance": formatting.by_chance(counts),
        "signs": SIGNS,
        "headings": formatting.MODEL_HEADINGS,
        "rows": formatting.model_rows(table),
        "strengths": describe_strengths(study),
        "trial_headings": HEADINGS,
        "trials": trial_rows(study),
        "is_first_look": len(study.params.seeds) < FIRST_LOOK,
        "is_own": study.params.data.source == "directory",
        "bins": BINS,
        "calibrations": {family: formatting.calibration_rows(own) for family, own in measured.items() if own},
        "without_model": study.params.without_model,
        "tables": formatting,
        "mistakes": mistakes,
        "most_classes": MAX_CLASSES,
        "curve": curve,
        "curve_rows": learning_curve.tabulate_curve(curve) if curve else [],
        "about": about,
        "registration": registration,
        "declared": _declared(study.params),
    }


def render_html(content: Mapping[str, Any]) -> str:
    """Return the text of report.html from `measure`."""
    text = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    # The page's Content-Security-Policy allows this script alone, not even one in a class name that is not escaped:
    # CSP level 3, https://www.w3.org/TR/CSP3/#grammardef-hash-source.
    script = {"text": Markup(text), "source": Markup(f"sha256-{digest}")}
    return render_template("report.html.j2", {**content, **_figures(content), "script": script})


def render_markdown(content: Mapping[str, Any]) -> str:
    """Return the text of report.md from `measure`: the same as report.html, without figures."""
    text = render_template("report.md.j2", content)
    return text.replace("&#39;", "'").replace("&#34;", '"')  # quotes are safe outside of tags


def _figures(content: Mapping[str, Any]) -> dict[str, Any]:
    """Draw all figures; those without data are None, and the page notes that."""
    study, table, curve = content["study"], content["table"], content["curve"]
    offered = table[~table["failed"] & table["family"].map(lambda name: FAMILIES[name].is_offered)]
    rate = study.params.highrate.learning_rate
    families = {name: FAMILIES[name].heading.format(highrate=rate) for name in TRAINED if study.names(name)}
    kinds = [(family, what) for family in families for what in ("loss", "accuracy")]
    return {
        "colours": COLOURS,
        "families": families,
        "curves": {(family, what): curves.draw_panels(study, family, what) for family, what in kinds},
        "trade_off": models.draw_trade_offs(offered),
        "ways": WAYS,
        "blocks": models.draw_blocks(study) if study.is_transfer and study.probe else None,
        "forest": arrange_forest(formatting.by_topic(without_checks(content["claims"]))),
        "learning_curve": learning_curve.draw_learning_curve(curve) if curve else None,
    }


def _declared(params: Params) -> dict[str, Any]:
    """Return params by dotted keys, without unset values and inactive remedies."""
    values = flatten(params.model_dump()).items()
    return {
        key: value
        for key, value in values
        if value is not None and not (key.startswith("variants.") and np.all(value == 0))
    }


def environment() -> dict[str, str]:
    """Return software versions and the machine: {"Python": "3.11.9", "tensorflow": "2.21.0", ..., "machine": ...}."""
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions | {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"}
