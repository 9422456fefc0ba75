"""Write docs/performance.md from the measurements."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.race import OURS, medians, times_as_fast
from bench.trainings import FEW, NOTEBOOK, TORCH

FOLDER, PAGE = Path(__file__).parent, Path("docs/performance.md")
Comparison = dict[str, Any]  # what, rows (see `race`)


def write(measured: dict[str, Any]) -> None:
    """Write the page from the content of bench/measured.json."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    base, trainings = measured["base"], measured["trainings"]
    experiment = whole(base[0], trainings, measured["pipeline"]["images"])
    text = environment.get_template("performance.md.j2").render(
        rounds=measured["rounds"],
        machine=measured["machine"],
        lines=[line for comparison in (experiment, *base, *trainings) for line in lines(comparison)],
        difference=max(comparison["difference"] for comparison in base),
        few=FEW,
        gains=[line for comparison in measured["gains"] for line in lines(comparison)],
        pipeline=pipeline(measured["pipeline"]),
    )
    PAGE.write_text(text, encoding="utf-8")


def lines(comparison: Comparison) -> list[dict[str, str]]:
    """Return a table's lines about one comparison: one for each other contestant."""
    seconds = medians(comparison["rows"])
    work = {row["contestant"]: row["multiply_adds"] for row in comparison["rows"]}
    return [
        {
            "what": comparison["what"],
            "ours": duration(seconds[OURS]),
            "other": name,
            "others": duration(seconds[name]),
            "times": "**{:.3g}** ({:.3g}–{:.3g})".format(*times_as_fast(comparison["rows"], name)),
            "multiply_adds": f"{billions(work[OURS])} : {billions(work[name])}",
        }
        for name in seconds
        if name != OURS
    ]


def whole(base: Comparison, trainings: list[Comparison], images: int) -> Comparison:
    """Add up the default's trainings by round, fitgap's with one pass of the frozen base over all `images`."""
    tables = [pd.DataFrame(each["rows"]).assign(count=each["trainings"]) for each in trainings]
    passes = pd.DataFrame(base["rows"]).assign(count=images / base["images"])
    rows = pd.concat([passes[passes["contestant"] == OURS], *tables])
    rows = rows[rows["contestant"] != TORCH]
    rows["contestant"] = rows["contestant"].where(rows["contestant"] == OURS, NOTEBOOK)
    columns = ["seconds", "multiply_adds"]
    rows[columns] = rows[columns].mul(rows["count"], axis=0)
    sums = rows.groupby(["round", "contestant"], as_index=False)[columns].sum()
    count = sum(each["trainings"] for each in trainings)
    return {"what": f"**the whole experiment**: {count} trainings", "rows": sums.to_dict("records")}


def pipeline(measured: dict[str, Any]) -> dict[str, Any]:
    """Add to the pipeline's measurements the share of busy time and the lines of its table."""
    work, stages = measured["multiply_adds"], measured["families"]
    total = sum(stage["start"] + stage["work"] for stage in stages)
    for stage in stages:
        count = work.get(stage["family"])
        stage["share"] = (stage["start"] + stage["work"]) / total
        stage["multiply_adds"] = billions(count) if count else "–"
        stage["rate"] = f"{count / stage['work'] / 1e9:.0f}" if count else "–"
    busy = measured["core_seconds"] / (measured["cores"] * measured["seconds"])
    return {**measured, "busy": busy, "trillions": sum(work.values()) / 1e12}


def duration(seconds: float) -> str:
    """Return seconds as text; hours where these are easier to read."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"


def billions(count: float) -> str:
    """Return a number of multiply-adds in billions."""
    return f"{count / 1e9:,.0f}" if count >= 1e10 else f"{count / 1e9:.2g}"
