"""Format numbers, and the table rows shared by report.html and report.md."""

from typing import Any

import pandas as pd

from fitgap.definitions.measurements import HEADLINES, MEASUREMENTS, UNITS

HEADINGS = [MEASUREMENTS[name].title for name in HEADLINES]
MODEL_HEADINGS = ("model", HEADINGS[0], "95% interval", *HEADINGS[1:], "weights", "trained", "seconds")
NOTHING = "–"


def model_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the rows of the summary table as strings, in the order of MODEL_HEADINGS."""
    return [_model_row(row) for row in table.to_dict("records")]


def _model_row(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["test_accuracy_ci_low"], row["test_accuracy_ci_high"]
    accuracy, *others = (_cell(row, name) for name in HEADLINES)
    return (
        row["model"] + (" (failed)" if row["failed"] else ""),
        accuracy,
        NOTHING if pd.isna(low) else f"{100 * low:.1f}–{100 * high:.1f}%",
        *others,
        *(short(row[f"params_{kind}"]) for kind in ("total", "trainable")),
        number(row["seconds_mean"], digits=1),
    )


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
    said = number(None if pd.isna(mean) else 100 * mean, None if sd is None else 100 * sd, digits=1)
    return said if said == NOTHING else f"{said}%"


def short(value: Any) -> str:
    """Format a count as 812k or 14.7M; summary.csv has the exact number."""
    if pd.isna(value):
        return NOTHING
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return str(value)


def measured(claim: dict[str, Any]) -> str:
    """Format an estimate with its interval: −0.204 nats (95% interval −0.222 to −0.186)."""
    if claim["estimate"] is None:
        return NOTHING
    factor, unit = UNITS[claim["unit"]]
    mean, low, high = (
        None if claim[key] is None else signed(factor * claim[key]) for key in ("estimate", "ci_low", "ci_high")
    )
    if low is None:
        return f"{mean}{unit} (no interval from so few seeds)"
    return f"{mean}{unit} ({100 * claim['confidence']:.4g}% interval {low} to {high})"


def signed(value: float) -> str:
    """Format as +0.123 or −0.123, with three significant digits."""
    return f"{value:+#.3g}".replace("-", "−").removesuffix(".")


def remark(claim: dict[str, Any]) -> str:
    """Return a claim's note and the number of seeds that would settle it; an empty string if there is neither."""
    parts = [claim["note"]] if claim["note"] else []
    if claim["seeds_needed"]:
        parts.append(f"about {claim['seeds_needed']} seeds would settle it")
    elif claim["verdict"] == "inconclusive" and claim["ci_low"] is not None:
        parts.append("no reasonable number of seeds would settle it")
    return "; ".join(parts)
