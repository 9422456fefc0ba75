"""report: the comparison of all models, and the notes' statements judged.

reads   params.yaml (all of it), results/, data/prepared/, timings/; models/ and data/backbone/ for MLflow
leaves  reports/: report.html, report.md, summary.csv, claims.json, claims.csv, curves.csv and .png; runs in MLflow, of
        other stages too where DVC restored their results from its cache; the best model in MLflow's registry;
        where DVC runs an experiment in a copy of the repository, experiments/NAME/ in the real one
"""

from pathlib import Path

from fitgap import params, repository, results, stage, timings
from fitgap.folders import fresh
from fitgap.images import prepared
from fitgap.report import writing
from fitgap.report.champion import contest
from fitgap.report.claims import judge_all
from fitgap.report.claims_table import claims_table
from fitgap.report.study import PROBE, Study, expected_models
from fitgap.report.verdicts import VERDICTS
from fitgap.results import Result
from fitgap.tracking import export, registry, runs

PREPARED, RESULTS, REPORTS = Path("data/prepared"), Path("results"), Path("reports")
MODELS, BACKBONE = Path("models"), Path("data/backbone/vgg16_notop.weights.h5")
SOURCES = ("prepare", "backbone", "features", PROBE)
ARTIFACTS = ("report.html", "report.md", "summary.csv", "claims.json")


def main() -> None:
    """Compare what params.yaml declares; results of deleted variants stay out."""
    clock, chosen = stage.Clock(), params.load()
    others = {name: results.read(RESULTS / name) for name in SOURCES}
    found = [results.read(RESULTS / name.replace("@", "/")) for name in expected_models(chosen)]
    times = {result.name: timings.of(result) for result in found}
    study = Study.of(chosen, [*found, others[PROBE]], prepared.read(PREPARED), times)
    claims = judge_all(study)
    result = result_of(study, claims)
    ids = track([*others.values(), *found], study)
    registration = registered(study, ids)
    with fresh(REPORTS) as folder:
        writing.write(folder, study, claims, registration)
    repository.keep_report(REPORTS)
    timings.keep(result, clock.spent)
    if ids:
        artifacts = [REPORTS / name for name in ARTIFACTS]
        runs.link(runs.log(result, artifacts, {"claims_table.json": claims_table(claims)}), ids)


def result_of(study: Study, claims: list[dict]) -> Result:
    """Give what the report measures, as its run in MLflow carries it: a metric for each claim's numbers."""
    verdicts = [claim["verdict"] for claim in claims]
    counts = {f"claims_{kind.replace(' ', '_')}": verdicts.count(kind) for kind in VERDICTS}
    ends = {"": "estimate", "_ci_low": "ci_low", "_ci_high": "ci_high"}
    return Result(
        {
            "stage": "report",
            "variant": None,
            "params": {"seeds": study.params.seeds},
            "inputs": {"data": study.prepared.identity},
            "models": {name: one.fingerprint for name, one in study.results.items()},
            "claims": claims,
            "measured": counts | {f"{c['id']}{end}": c[key] for c in claims for end, key in ends.items()},
        }
    )


def track(stages: list[Result], study: Study) -> dict[str, str]:
    """Write the runs that are missing, and the models a user would load; give the runs' ids, none if one failed."""
    ids = runs.log_all(stages)
    if len(ids) < len(stages):
        return {}  # the store is away; `log_all` has said so, and waiting for it once is enough
    export.attach(study.results.values(), ids, study.params, MODELS, BACKBONE, study.prepared.images[:1])
    return ids


def registered(study: Study, ids: dict[str, str]) -> dict[str, str] | None:
    """Register the best model by validation where it beats the one before; say what became of it."""
    if study.best is None:
        return None
    return registry.register(study.results[study.best], ids.get(study.best), contest).facts


if __name__ == "__main__":
    stage.run(main)
