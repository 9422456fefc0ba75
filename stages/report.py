"""report: compare all models and judge the notes' statements.

reads   params.yaml (all of it), results/, data/prepared/, timings/; models/ and data/backbone/ for MLflow, and for the
        maps of what the best model looks at
writes  reports/: report.html, report.md, summary.csv, claims.json, claims.csv, curves.csv, curves-FAMILY.png; runs in
        MLflow, including missing runs of stages whose results DVC restored from its cache; the best model in MLflow's
        registry; experiments/NAME/ of the original repository, if DVC runs an experiment in a copy of it
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.claims import judge_all
from fitgap.claims.study import CURVE, PROBE, Study
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result, read_result
from fitgap.data.results import declared_models
from fitgap.inference.verdicts import VERDICTS
from fitgap.params.reading import load_params
from fitgap.pipeline import timings
from fitgap.prediction.attribution import attribute_answers
from fitgap.report import page
from fitgap.report.mistakes import NO_SHEET, Sheet, choose_questions, draw_sheet
from fitgap.report.tables import claims_table
from fitgap.system import repository
from fitgap.system.errors import UserError
from fitgap.system.files import fresh_folder
from fitgap.tracking import models, registry, runs

PREPARED, RESULTS, REPORTS = Path("data/prepared"), Path("results"), Path("reports")
MODELS, BACKBONE = Path("models"), Path("data/backbone/vgg16_notop.weights.h5")
SOURCES = ("prepare", "backbone", "features", PROBE)
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
    result = describe_report(study, claims)
    ids = track([*others, *found], study)
    registration, sheet = register_best(study, ids), explain_best(study)
    with fresh_folder(REPORTS) as folder:
        page.write_report(folder, study, claims, registration, sheet)
    repository.copy_report(REPORTS)
    artifacts, tables = [REPORTS / name for name in ARTIFACTS], {"claims_table.json": claims_table(claims)}
    run = lifecycle.finish(result, clock, artifacts=artifacts, tables=tables, is_tracked=bool(ids))
    runs.link_report(run, ids)


def describe_report(study: Study, claims: list[dict]) -> Result:
    """Return the report's result for MLflow: metrics for each claim's estimate and interval, counts of verdicts."""
    verdicts = [claim["verdict"] for claim in claims]
    counts = {f"claims_{kind.replace(' ', '_')}": verdicts.count(kind) for kind in VERDICTS}
    ends = {"": "estimate", "_ci_low": "ci_low", "_ci_high": "ci_high"}
    record = Record(
        stage="report",
        variant=None,
        params={"seeds": study.params.seeds},
        inputs={"data": study.prepared.identity},
        measured=counts | {f"{c['id']}{end}": c[key] for c in claims for end, key in ends.items()},
        models={name: one.fingerprint for name, one in study.results.items()},
        claims=claims,
    )
    return Result(record)


def track(stages: list[Result], study: Study) -> dict[str, str]:
    """Write missing runs and attach the models; return run ids by result name, empty if the store is unavailable."""
    ids = runs.log_results(stages)
    if not ids:
        return {}  # `log_results` has warned, so do not wait for the store again
    models.attach_models(study.results.values(), ids, study.params, MODELS, BACKBONE)
    return ids


def register_best(study: Study, ids: dict[str, str]) -> dict[str, str] | None:
    """Register the best model by validation loss if it beats the current champion.

    Return the outcome as `Registration.facts`; None if there is no best model.
    """
    if study.best is None:
        return None
    return registry.register(study.results[study.best], ids.get(study.best)).facts


def explain_best(study: Study) -> Sheet:
    """Show which pixels move some answers of the best model; without its weights, the sheet says why it is empty."""
    if study.best is None or not study.has_answers(study.best):
        return NO_SHEET
    questions = choose_questions(study, study.best)
    try:
        return draw_sheet(study, questions, attribute_answers(study.best, questions))
    except UserError as error:
        return Sheet(reason=str(error))


if __name__ == "__main__":
    lifecycle.run(main)
