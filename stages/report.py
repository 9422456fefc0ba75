"""report: the comparison of all models, and the notes' statements judged.

reads   params.yaml (all of it), results/, data/prepared/, timings/; models/ and data/backbone/ for MLflow
leaves  reports/: report.html, report.md, summary.csv, claims.json, curves.csv; runs in MLflow, of other
        stages too where DVC restored their results from its cache
"""

import json
from pathlib import Path

from fitgap import params, results, stage, timings
from fitgap.folders import fresh
from fitgap.images import prepared
from fitgap.report.claims import judge_all
from fitgap.report.curves_table import curves_table
from fitgap.report.environment import environment
from fitgap.report.page import html, markdown
from fitgap.report.study import Study, expected_models
from fitgap.report.summary import summary
from fitgap.report.verdicts import VERDICTS
from fitgap.results import Result
from fitgap.tracking import export, runs

PREPARED, RESULTS, REPORTS = Path("data/prepared"), Path("results"), Path("reports")
MODELS, BACKBONE = Path("models"), Path("data/backbone/vgg16_notop.weights.h5")
SOURCES = ("prepare", "backbone", "features")
ARTIFACTS = ("report.html", "report.md", "summary.csv", "claims.json")


def main() -> None:
    """Compare what params.yaml declares; results of deleted variants stay out."""
    clock, chosen = stage.Clock(), params.load()
    found = [results.read(RESULTS / name.replace("@", "/")) for name in expected_models(chosen)]
    times = {result.name: timings.of(result) for result in found}
    study = Study.of(chosen, found, prepared.read(PREPARED), times)
    result = write(study)
    timings.keep(result, clock.seconds)
    track(study, result)


def write(study: Study) -> Result:
    """Write everything in reports/; what has no wall times in it comes back as a result."""
    table, claims, about = summary(study), judge_all(study), environment()
    with fresh(REPORTS) as folder:
        curves_table(study).to_csv(folder / "curves.csv", index=False, lineterminator="\n")
        table.to_csv(folder / "summary.csv", index=False, lineterminator="\n")
        (folder / "report.html").write_text(html(study, table, claims, about), encoding="utf-8")
        (folder / "report.md").write_text(markdown(study, table, claims, about), encoding="utf-8")
        text = json.dumps(claims, indent=2, ensure_ascii=False) + "\n"
        (folder / "claims.json").write_text(text, encoding="utf-8")
    verdicts = [claim["verdict"] for claim in claims]
    return Result(
        {
            "stage": "report",
            "variant": None,
            "params": {"seeds": study.params.seeds},
            "inputs": {"data": study.prepared.identity},
            "models": {name: one.fingerprint for name, one in study.results.items()},
            "claims": claims,
            "measured": {f"claims_{kind.replace(' ', '_')}": verdicts.count(kind) for kind in VERDICTS},
        }
    )


def track(study: Study, result: Result) -> None:
    """Write the report's run, the runs that are missing, and the models a user would load."""
    stages = [*(results.read(RESULTS / name) for name in SOURCES), *study.results.values()]
    ids = runs.log_all(stages)
    if len(ids) < len(stages):
        return  # the store is away; `log_all` has said so, and waiting for it once is enough
    run = runs.log(result, artifacts=[REPORTS / name for name in ARTIFACTS])
    if run is not None:
        runs.link(run, ids)
        export.attach(study.results.values(), ids, study.params, MODELS, BACKBONE, study.prepared.images[:1])


if __name__ == "__main__":
    stage.run(main)
