"""Write verdicts back to the MLflow experiment that they are about."""

from fitgap.judging.answer import as_json, as_page, as_text
from fitgap.judging.judgement import Judgement
from fitgap.judging.runs import JUDGED, VERDICT
from fitgap.system.errors import UserError
from fitgap.tracking.store import NOTE, StoreError


def log_judgement(judgement: Judgement) -> str:
    """Log a run with the verdicts, tag the contestants' runs (their parents, where there are), return the run's id.

    The tag fitgap.verdict.METRIC says how a contestant compares with the reference, or that it is the best.
    """
    if judgement.runs.client is None:
        raise UserError("--log: the verdicts go to an MLflow experiment, and these runs are from a file; leave it out")
    try:
        return _write(judgement)
    except Exception as cause:  # of MLflow, SQLAlchemy and the network
        raise UserError(f"--log: not written, or in part: {StoreError(cause)}") from None


def _write(judgement: Judgement) -> str:
    client, scores = judgement.runs.client, judgement.scores
    text = as_text(judgement)
    tags = {JUDGED: scores.metric, NOTE: f"{text.splitlines()[-1]}\n```\n{text}\n```"}
    run_id = client.create_run(judgement.runs.experiment_id, run_name="verdicts", tags=tags).info.run_id
    for name, value in {"metric": scores.metric, "reference": judgement.reference, "margin": judgement.margin}.items():
        client.log_param(run_id, name, value)
    client.log_text(run_id, as_json(judgement), "verdicts.json")
    client.log_text(run_id, as_page(judgement), "verdicts.html")
    for entry in judgement.against or [judgement.best]:
        for own in scores.runs[entry["models"][0]]:
            key = f"{VERDICT}{scores.metric.removeprefix('metrics.')}"
            client.set_tag(own, key, f"{entry['statement']}: {entry['verdict']}")
    client.set_terminated(run_id)
    return run_id
