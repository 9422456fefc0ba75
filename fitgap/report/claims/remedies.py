"""Claims about dropout and batch normalisation, on the notes' network trained from scratch."""

from dataclasses import replace
from functools import partial

from fitgap.params import Params
from fitgap.report.claims.claim import CannotTellError, Claim
from fitgap.report.claims.comparing import ACCURACY, compare, failed_in, rivals
from fitgap.report.statistics import over_seeds
from fitgap.report.study import Study
from fitgap.report.verdicts import Comparison, Finding, judge

BASELINE = "scratch@baseline"
KEPT = 0.9  # of the baseline's gap: a model that keeps at least this share "still overfits"
EACH = (
    "supported if the 95% interval of the difference to every other variant lies {side} 0; "
    "contradicted if, with intervals widened for their number (Bonferroni), one lies on the other side"
)
ONE = "supported if the 95% interval lies {side} 0; contradicted if it lies on the other side"


def obstacle(params: Params, variant: str, remedies: set[str]) -> str:
    """Say why a variant cannot stand for the remedy that the notes speak of; empty if it can."""
    if variant not in params.variants:
        return f"params.yaml declares no variant {variant!r}"
    found = set(params.variants[variant].remedies)
    if found != remedies:
        return f"variants.{variant} has the remedies {sorted(found)}, the statement is about {sorted(remedies)}"
    return ""


def best_of_all(study: Study, model: str, measurement: str, side: int) -> Finding:
    """Judge that a model is ahead of each other model of its family."""
    others = rivals(study, model)
    if not others:
        raise CannotTellError("there is no other variant to compare with")
    finding = judge(compare(study, model, others, measurement, side))
    return replace(finding, note="; ".join(filter(None, [finding.note, failed_in(study, "scratch")])))


def against(study: Study, model: str, other: str, measurement: str, side: int) -> Finding:
    """Judge that a model is ahead of one other."""
    return judge(compare(study, model, [other], measurement, side))


def still_overfits(study: Study, model: str) -> Finding:
    """Judge that a model's gap grows after its best epoch, and ends no lower than the baseline's."""
    own, baseline = study.seeds(model), study.seeds(BASELINE)
    growth = over_seeds(own["gap_last"] - own["gap_best"])
    kept = over_seeds(own["gap_last"] - KEPT * baseline["gap_last"])
    return judge(
        [
            Comparison(f"{model}: final gap - gap at the best epoch", growth, 1, "nats"),
            Comparison(f"{model} - {KEPT} x {BASELINE}: final gap", kept, 1, "nats"),
        ]
    )


def claims(params: Params) -> list[Claim]:
    """List the claims about dropout and batch normalisation."""
    every = tuple(f"scratch@{name}" for name in params.variants)
    return [*_dropout(params, every), *_batch_normalisation(params, every)]


def _dropout(params: Params, every: tuple[str, ...]) -> list[Claim]:
    model, stop = "scratch@dropout", obstacle(params, "dropout", {"dropout"})
    pair = (model, BASELINE)
    return [
        Claim(
            id="dropout_separates_least",
            statement="Dropout: its training and validation curves separate least of all variants.",
            models=every,
            statistic="difference of the final gap (validation loss - training loss), nats",
            direction="below",
            rule=EACH.format(side="below"),
            evaluate=partial(best_of_all, model=model, measurement="gap_last", side=-1),
            needed=(model,),
            obstacle=stop,
        ),
        Claim(
            id="dropout_gap_below_baseline",
            statement="Dropout: the curves do not drift apart as they do without a remedy.",
            models=pair,
            statistic="difference of the final gap (validation loss - training loss), nats",
            direction="below",
            rule=ONE.format(side="below"),
            evaluate=partial(against, model=model, other=BASELINE, measurement="gap_last", side=-1),
            needed=pair,
            obstacle=stop,
        ),
        Claim(
            id="dropout_improves_accuracy",
            statement="Dropout improves accuracy too.",
            models=pair,
            statistic="difference of the test accuracy",
            direction="above",
            rule=ONE.format(side="above") + "; it allows for seeds and test images",
            evaluate=partial(against, model=model, other=BASELINE, measurement=ACCURACY, side=1),
            needed=pair,
            obstacle=stop,
        ),
    ]


def _batch_normalisation(params: Params, every: tuple[str, ...]) -> list[Claim]:
    model, stop = "scratch@batchnorm", obstacle(params, "batchnorm", {"batch_norm"})
    pair = (model, BASELINE)
    return [
        Claim(
            id="batchnorm_highest_performance",
            statement="Batch normalisation has the highest performance of all variants.",
            models=every,
            statistic="difference of the test accuracy",
            direction="above",
            rule=EACH.format(side="above") + "; they allow for seeds and test images",
            evaluate=partial(best_of_all, model=model, measurement=ACCURACY, side=1),
            needed=(model,),
            obstacle=stop,
        ),
        Claim(
            id="batchnorm_still_overfits",
            statement="Batch normalisation still overfits: it is not a remedy against overfitting as such.",
            models=pair,
            statistic="growth of the gap after the best epoch; final gap above 90% of the baseline's; nats",
            direction="above",
            rule="supported if both 95% intervals lie above 0; contradicted if, widened for two, one lies below",
            evaluate=partial(still_overfits, model=model),
            needed=pair,
            obstacle=stop,
        ),
        Claim(
            id="batchnorm_lowers_loss",
            statement="Batch normalisation brings the level of the loss down.",
            models=pair,
            statistic="difference of the best validation loss, nats",
            direction="below",
            rule=ONE.format(side="below"),
            evaluate=partial(against, model=model, other=BASELINE, measurement="val_loss_best", side=-1),
            needed=pair,
            obstacle=stop,
        ),
    ]
