"""report: compare all models and judge the notes' statements.

reads   params.yaml (all of it), results/, data/prepared/, timings/; models/ and data/backbone/ for MLflow
writes  reports/: report.html, report.md, summary.csv, claims.json, claims.csv, curves.csv, curves-FAMILY.png;
        models/best/: weights and measurements of the best model; runs in MLflow, including missing runs of stages whose
        results DVC restored from its cache; the best model in MLflow's registry; experiments/NAME/ of the original
        repository, if DVC runs an experiment in a copy of it
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.claims import judge_all
from fitgap.claims.study import CURVE, PROBE, Study
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Result, read_result
from fitgap.data.results import copy_model, declared_models
from fitgap.params.reading import load_params
from fitgap.pipeline import timings
from fitgap.report import page, tables
from fitgap.system import repository
from fitgap.system.files import fresh_folder
from fitgap.tracking import models, registry, runs

PREPARED, RESULTS, REPORTS = Path("data/prepared"), Path("results"), Path("reports")
MODELS, BEST, BACKBONE = Path("models"), Path("models/best"), Path("data/backbone/vgg16_notop.weights.h5")
SOURCES = ("prepare", "backbone", "features", PROBE, "choice")
NO_CHAMPION = {"why": "No model was registered: none is clearly better than guessing."}
ARTIFACTS = ("report.html", "report.md", "summary.csv", "claims.json")


def main() -> None:
    """Compare the models declared in params.yaml; ignore results of deleted variants."""
    clock, params = lifecycle.Clock(), load_params()
    sizes = [f"{CURVE}/{size}" for size in params.learning_curve.sizes]
    others = [read_result(RESULTS / name) for name in (*SOURCES, *sizes)]
    found = [read_result(RESULTS / name.replace("@", "/")) for name in declared_models(params)]
    times = {result.name: timings.load(result) for result in found}
    study = Study.gather(params, [*found, *others], read_prepared(PREPARED), times)
    claims = judge_all(study)
    ids, best = track([*others, *found], study), study.results.get(study.best)
    registration = best and registry.register(best, ids.get(best.name)) if not study.is_guessing else NO_CHAMPION
    with fresh_folder(BEST) as folder:
        copy_model(best, MODELS, folder)
    with fresh_folder(REPORTS) as folder:
        answer = page.write_report(folder, study, claims, registration)
    repository.copy_report(REPORTS)
    artifacts, result = [REPORTS / name for name in ARTIFACTS], tables.describe_report(study, claims)
    logged = {"claims_table.json": tables.claims_table(claims)}
    run = lifecycle.finish(result, clock, artifacts=artifacts, tables=logged)
    runs.link_report(run, ids, answer)


def track(stages: list[Result], study: Study) -> dict[str, str]:
    """Write missing runs and attach the models; return run ids by result name, empty if the store is unavailable."""
    ids = runs.log_results(stages)
    if ids:  # otherwise `log_results` has warned
        models.attach_models(study.results.values(), ids, study.params, MODELS, BACKBONE)
    return ids


if __name__ == "__main__":
    lifecycle.run(main)
