"""Show one run's results in the README: `make readme`, or `python -m docs.write_readme [REPORTS]`.

reads   reports/ (or the folder named): summary.csv, claims.json, report.md and the files of COPIED; dvc.yaml
writes  README.md between its markers, docs/results.json (the same values), the pictures and the report in docs/

Table, findings, pictures and report come from one run; tests/code/test_docs.py checks that they still do.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd

from fitgap import lifecycle
from fitgap.claims.claim import without_checks
from fitgap.inference.verdicts import VERDICTS
from fitgap.report import formatting
from fitgap.system.errors import UserError

README, DOCS = Path("README.md"), Path("docs")
RESULTS = "results.json"
COPIED = {  # in reports/ -> in docs/
    "curves-scratch.png": "curves.png",
    "learning_curve.png": "learning_curve.png",
    "report.html": "report.html",
}
MARKERS = "<!-- {name}: begin -->", "<!-- {name}: end -->"
DAG = (sys.executable, "-m", "dvc", "dag", "--collapse-foreach-matrix", "--mermaid")
SHOWN = ("scratch@baseline", "scratch@dropout", "scratch@batchnorm", "head@baseline")
DESCRIPTIONS = {  # family -> what its models are
    "scratch": "the notes' network from random weights, {variant}",
    "head": "way 2: a new classifier on frozen VGG16, {variant}",
    "finetune": "way 3: VGG16 unfrozen from {variant} on",
}
MEASURED = ("test_accuracy_mean", "test_accuracy_sd", "gap_last_mean", "gap_last_sd")


def main(reports: str = "reports") -> None:
    """Write the README's results, and docs/ beside them, from the reports of one run."""
    folder = Path(reports)
    results = read_results(folder)
    text = replace_block(README.read_text(encoding="utf-8"), "results", render(results))
    drawn = subprocess.run(DAG, capture_output=True, text=True, check=True).stdout
    README.write_text(replace_block(text, "graph", render_graph(drawn)), encoding="utf-8")
    (DOCS / RESULTS).write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for source, target in COPIED.items():
        shutil.copyfile(folder / source, DOCS / target)
    print(f"Written: {', '.join(map(str, [README, *(DOCS / name for name in (RESULTS, *COPIED.values()))]))}")


def read_results(folder: Path) -> dict[str, Any]:
    """Read what the README shows.

    Raises
    ------
    UserError
        If the folder does not hold a whole report with all models of SHOWN.
    """
    for name in ("summary.csv", "claims.json", "report.md", *COPIED):
        if not (folder / name).exists():
            raise UserError(f"{folder / name}: not found; `make repro` writes it")
    findings = read_findings((folder / "report.md").read_text(encoding="utf-8"))
    table = select_rows(pd.read_csv(folder / "summary.csv"), findings)
    claims = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    verdicts = Counter(claim["verdict"] for claim in without_checks(claims))
    return {
        "seeds": int(table["seeds"].max()),
        "rows": [
            # Six significant digits are more than the README shows.
            {"model": row["model"], **{name: float(f"{row[name]:.6g}") for name in MEASURED}}
            for row in table.to_dict("records")
        ],
        "findings": findings,
        "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS if verdicts[verdict]},
        "copied_md5": {target: compute_md5(folder / source) for source, target in COPIED.items()},
    }


def read_findings(report: str) -> list[str]:
    """Return the report's answer: the numbered sentences above its first section."""
    findings = re.findall(r"^\d+\. (.+)$", report.split("\n## ")[0], flags=re.MULTILINE)
    if not findings:
        raise UserError("report.md does not begin with numbered sentences; `make repro` writes it again")
    return findings


def select_rows(table: pd.DataFrame, findings: list[str]) -> pd.DataFrame:
    """Select the models to show: those of SHOWN, the fine-tuned ones, and those that the findings name."""
    missing = sorted(set(SHOWN) - set(table["model"]))
    if missing:
        raise UserError(f"the report has no {missing[0]}, which the README shows; restore it in params.yaml")
    named = {name for sentence in findings for name in re.findall(r"\*\*(.+?)\*\*", sentence)}
    return table[table["model"].isin(named.union(SHOWN)) | (table["family"] == "finetune")]


def compute_md5(file: Path) -> str:
    """Compute a file's MD5, as dvc.lock states it."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def render(results: dict[str, Any]) -> str:
    """Return the results as Markdown, without the markers."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in results["verdicts"].items())
    lines = [
        "<!-- `make readme` writes what stands between these markers from reports/. -->",
        "| model | what it is | test accuracy | final gap (nats) |",
        "|---|---|---:|---:|",
        *(table_line(row) for row in results["rows"]),
        "",
        f"Mean ± standard deviation over {results['seeds']} repetitions. What the report says of them:",
        "",
        *(f"- {sentence}" for sentence in results["findings"]),
        "",
        f"Of {sum(results['verdicts'].values())} statements ([docs/claims.md](docs/claims.md)): {verdicts}.",
    ]
    return "\n".join(lines)


def table_line(row: dict[str, Any]) -> str:
    """Return a model's row of the table as Markdown."""
    family, _, variant = row["model"].partition("@")
    what = DESCRIPTIONS[family].format(variant="no remedy" if variant == "baseline" else variant)
    accuracy = formatting.percent(row["test_accuracy_mean"], row["test_accuracy_sd"])
    gap = formatting.number(row["gap_last_mean"], row["gap_last_sd"], digits=2)
    return f"| `{row['model']}` | {what} | {accuracy} | {gap} |"


def render_graph(drawn: str) -> str:
    """Return the stages as Mermaid's graph, without the arrows that others imply; `drawn` is what DAG prints."""
    names = dict(re.findall(r'(node\d+)\["(.+?)"\]', drawn))
    edges = re.findall(r"(node\d+)-->(node\d+)", drawn)
    graph = nx.transitive_reduction(nx.DiGraph((names[source], names[target]) for source, target in edges))
    lines = [
        f"  {' & '.join(sorted(graph.predecessors(name)))} --> {name}" for name in sorted(graph) if graph.pred[name]
    ]
    return "\n".join(["```mermaid", "graph LR", *lines, "```"])


def replace_block(text: str, name: str, block: str, page: Path = README) -> str:
    """Return the text of a page with `block` between the markers of a name, which it must hold once each."""
    begin, end = (marker.format(name=name) for marker in MARKERS)
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last) or text.count(begin) + text.count(end) > 2:
        raise UserError(f"{page}: needs one line {begin} and below it one line {end}")
    return f"{before}{begin}\n{block}\n{end}{after}"


if __name__ == "__main__":
    lifecycle.run(main)
