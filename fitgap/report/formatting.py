"""Format numbers, and the texts and table rows shared by report.html and report.md."""

import math
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from fitgap.claims.calibration import Calibration
from fitgap.claims.choices import CHOICES
from fitgap.claims.claim import TOPICS
from fitgap.data.record import standard_deviation
from fitgap.definitions.measurements import HEADLINES, MEASUREMENTS, UNITS
from fitgap.inference.estimates import ERROR, Estimate
from fitgap.inference.verdicts import INCONCLUSIVE, NO_DIFFERENCE, NOT_APPLICABLE
from fitgap.params.sections import Data

SHOWN = [name for name in HEADLINES if name not in ("test_accuracy_last", "gap_best")]  # what fits on paper
ACCURACY, *OTHERS = (MEASUREMENTS[name].title for name in SHOWN)
MODEL_HEADINGS = ("model", ACCURACY, "95% interval", *OTHERS, "weights", "trained", "seconds")
NOTHING = "–"


def data_title(data: Data) -> str:
    """Return the name of the data set; of one's own pictures, the name of their folder or archive."""
    if data.source != "directory":
        return data.source
    return f"pictures from {Path(data.path).name or data.path}"


def model_rows(table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return model name -> its row of the summary table as strings, in the order of MODEL_HEADINGS."""
    return {row["model"]: _model_row(row) for row in table.to_dict("records")}


def _model_row(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["test_accuracy_ci_low"], row["test_accuracy_ci_high"]
    interval = NOTHING if pd.isna(low) else f"{100 * low:.1f}–{100 * high:.1f}%"
    accuracy, *others = (_cell(row, name) for name in SHOWN)
    name = row["model"] + (" (failed)" if row["failed"] else "")
    counts = [short(row[f"params_{kind}"]) for kind in ("total", "trainable")]
    return (name, accuracy, interval, *others, *counts, number(row["seconds_mean"], digits=1))


def _cell(row: dict[str, Any], name: str) -> str:
    mean, deviation = row[f"{name}_mean"], row[f"{name}_sd"]
    if MEASUREMENTS[name].unit == "share":
        return percent(mean, deviation)
    return number(mean, deviation, digits=1 if MEASUREMENTS[name].unit == "epochs" else 3)


def number(mean: float, sd: float | None = None, digits: int = 3) -> str:
    """Format as 0.123, or 0.123 ± 0.004 with a standard deviation; a dash if the value is missing."""
    if mean is None or pd.isna(mean):
        return NOTHING
    spread = "" if sd is None or pd.isna(sd) else f" ± {sd:,.{digits}f}"
    return f"{round(mean, digits) + 0.0:,.{digits}f}{spread}".replace("-", "−")  # + 0.0 turns -0.0 into 0.0


def percent(mean: float, sd: float | None = None) -> str:
    """Format a share as 92.0%, or 92.0 ± 0.4% with a standard deviation; a dash if the value is missing."""
    if pd.isna(mean):
        return NOTHING
    return number(100 * mean, None if sd is None else 100 * sd, digits=1) + "%"


def short(value: Any) -> str:
    """Format a count as 812k or 14.7M; summary.csv has the exact number."""
    if pd.isna(value):
        return NOTHING
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return str(value)


def signed(value: float) -> str:
    """Format as +0.123 or −0.123, with three significant digits, and never as a power of ten."""
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 2
    return f"{value:+.{decimals}f}".replace("-", "−")


def points(estimate: Estimate | None) -> str:
    """Format a difference of shares in points, with its 95% interval: −1.2 (−2.0 to −0.4); a dash if there is none."""
    if estimate is None:
        return NOTHING
    value, *ends = map(_points, (estimate.value, *(estimate.interval() or ())))
    return f"{value} ({' to '.join(ends)})" if ends else value


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0 turns -0.0 into 0.0


def calibration_rows(calibrations: list[Calibration]) -> list[tuple[str, ...]]:
    """Return a row for each model: name, calibration error, difference to the baseline, overconfidence."""
    rows = []
    for own in calibrations:
        errors = own.answers.errors
        error = percent(errors.mean(), standard_deviation(errors))
        error += f", of which {percent(own.answers.floor)} is expected by chance"
        rows.append((own.model, error, points(own.difference), _points(own.answers.overconfidence)))
    return rows


def by_chance(counts: Mapping[str, int]) -> str:
    """Return a sentence on the false verdicts to expect among findings; `counts` maps verdicts to their numbers."""
    number = sum(count for verdict, count in counts.items() if verdict != NOT_APPLICABLE)
    return (
        f"{number} statements are judged at once. Where nothing differs, one is still supported or contradicted by "
        f"chance in {ERROR:.0%} of all runs; if nothing differed anywhere, {ERROR * number:.1f} of {number} would be. "
        "Intervals are not widened for the number of statements, because each is a question of its own, read by itself "
        "(Rothman 1990, doi:10.1097/00001648-199001000-00010)."
    )


def by_topic(claims: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group claims, which are sorted by topic, under the headings of their topics."""
    return {TOPICS[topic]: list(group) for topic, group in groupby(claims, key=lambda claim: claim["topic"])}


def estimated_in_words(claim: dict[str, Any]) -> str:
    """Format an estimate with two digits and without a sign: 0.20 nats lower."""
    factor, unit = UNITS[claim["unit"]]
    size = abs(factor * claim["estimate"])
    number = f"{size:.0f}" if size >= 100 else f"{size:#.2g}".removesuffix(".")
    return f"{number}{unit} {'lower' if claim['estimate'] < 0 else 'higher'}"


def measured(claim: dict[str, Any]) -> str:
    """Format an estimate with its interval: −0.204 nats (95% interval −0.222 to −0.186)."""
    if claim["estimate"] is None:
        return NOTHING
    factor, unit = UNITS[claim["unit"]]
    estimate = signed(factor * claim["estimate"]) + unit
    if claim["ci_low"] is None:
        return f"{estimate} (no interval from so few repetitions)"
    low, high = (signed(factor * claim[end]) for end in ("ci_low", "ci_high"))
    return f"{estimate} ({100 * claim['confidence']:.4g}% interval {low} to {high})"


def margin(claim: dict[str, Any]) -> str:
    """Format the largest difference that is not relevant: 2 points; an empty string if there is none."""
    if claim["margin"] is None:
        return ""
    factor, unit = UNITS[claim["unit"]]
    return f"{factor * claim['margin']:g}{unit}"


def win_rate(claim: dict[str, Any]) -> str:
    """Format the share of repetitions that favour the statement; an empty string if there is none.

    This is the probability that A > B: Bouthillier et al., MLSys 2021, arXiv:2103.03098.
    """
    if claim["win_rate"] is None:
        return ""
    share, low, high = (f"{100 * claim[key]:.0f}" for key in ("win_rate", "win_rate_low", "win_rate_high"))
    return f"favoured by {share}% of repetitions (95% interval {low}–{high}%)"


def remark(claim: dict[str, Any]) -> str:
    """Return what the verdict means in numbers, and the claim's note; an empty string if there is neither."""
    return "; ".join(filter(None, [_meaning(claim), claim["note"]]))


def dependence(claim: dict[str, Any]) -> str:
    """Return whether a verdict is robust, or what turns it; an empty string if no choice applies."""
    if claim["robust"] is None:
        return ""
    return claim["turns"] or ("so under every choice" if claim["verdict"] == INCONCLUSIVE else "robust")


def compared(claim: dict[str, Any]) -> str:
    """Return the two sides compared; of several comparisons, those of the one that decides."""
    number = len(claim["comparisons"])
    return claim["compared"] if number < 2 else f"decided by one of {number} comparisons: {claim['compared']}"


def choice_rows(claims: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the verdict as stated and under each of CHOICES by statement: empty where a choice does not apply.

    Statements to which no choice applies are left out.
    """
    rows = {}
    for claim in (claim for claim in claims if claim["choices"]):
        judged = {entry["id"]: entry["verdict"] for entry in claim["choices"]}
        rows[claim["statement"]] = [claim["verdict"], *(judged.get(choice.id, "") for choice in CHOICES)]
    return rows


def is_small(claim: dict[str, Any]) -> bool:
    """Return whether a difference is clear, but smaller than its margin."""
    if claim["margin"] is None or claim["ci_low"] is None or claim["verdict"] in (INCONCLUSIVE, NO_DIFFERENCE):
        return False
    return max(abs(claim["ci_low"]), abs(claim["ci_high"])) <= claim["margin"]


def _meaning(claim: dict[str, Any]) -> str:
    if claim["verdict"] == NO_DIFFERENCE:
        return f"no difference larger than {margin(claim)}"
    if claim["ci_low"] is None:
        return ""
    if claim["verdict"] != INCONCLUSIVE:
        return f"clear, but not relevant: smaller than {margin(claim)}" if is_small(claim) else ""
    needed = claim["seeds_needed"]
    return f"too uncertain: {f'about {needed}' if needed else 'no reasonable number of'} repetitions would settle it"
