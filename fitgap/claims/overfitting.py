"""Claims about dropout and batch normalisation, on the notes' network trained from scratch."""

from dataclasses import replace
from functools import partial

from fitgap.claims.claim import Claim
from fitgap.claims.comparisons import (
    ACCURACY,
    BASELINE,
    RULE_EACH,
    RULE_ONE,
    judge_against,
    judge_best_of_all,
    right_answers,
    variant_obstacle,
)
from fitgap.claims.study import Study
from fitgap.definitions.measurements import MEASUREMENTS
from fitgap.inference.estimates import estimate_over_seeds, estimate_over_seeds_and_images
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

GAP_MARGIN = MEASUREMENTS["gap_last"].margin
KEPT = 0.9  # a model "still overfits" if its final gap is at least this share of the baseline's


def still_overfits(study: Study, model: str) -> Finding:
    """Judge the claim that a model's gap grows after its best epoch and ends above KEPT times the baseline's."""
    own, baseline = study.seeds(model), study.seeds(BASELINE)
    growth = estimate_over_seeds(own["gap_last"] - own["gap_best"])
    kept = estimate_over_seeds(own["gap_last"] - KEPT * baseline["gap_last"])
    return judge(
        [
            Comparison(f"{model}: final gap - gap at the best epoch", growth, 1, "nats", GAP_MARGIN),
            Comparison(f"{model} - {KEPT} x {BASELINE}: final gap", kept, 1, "nats", GAP_MARGIN),
        ]
    )


def claims(params: Params) -> list[Claim]:
    """Return the claims about dropout and batch normalisation."""
    every = tuple(f"scratch@{name}" for name in params.variants)
    return [*_dropout(params, every), *_batch_normalisation(params, every), _learning_rate(params)]


def _dropout(params: Params, every: tuple[str, ...]) -> list[Claim]:
    model, stop = "scratch@dropout", variant_obstacle(params, "dropout", {"dropout"})
    pair = (model, BASELINE)
    return [
        Claim(
            id="dropout_separates_least",
            topic="overall",
            statement="Dropout: its training and validation curves separate least of all variants.",
            models=every,
            statistic="difference of the final gap (validation loss - training loss), nats",
            direction="below",
            rule=RULE_EACH.format(side="below"),
            evaluate=partial(judge_best_of_all, model=model, measurement="gap_last", side=-1),
            needed=(model,),
            obstacle=stop,
        ),
        Claim(
            id="dropout_gap_below_baseline",
            topic="dropout",
            statement="Dropout: the curves do not drift apart as they do without a remedy.",
            models=pair,
            statistic="difference of the final gap (validation loss - training loss), nats",
            direction="below",
            rule=RULE_ONE.format(side="below"),
            evaluate=partial(judge_against, model=model, other=BASELINE, measurement="gap_last", side=-1),
            needed=pair,
            obstacle=stop,
        ),
        Claim(
            id="dropout_improves_accuracy",
            topic="dropout",
            statement="Dropout improves accuracy too.",
            models=pair,
            statistic="difference of the test accuracy",
            direction="above",
            rule=RULE_ONE.format(side="above") + "; it allows for seeds and test images",
            evaluate=partial(judge_against, model=model, other=BASELINE, measurement=ACCURACY, side=1),
            needed=pair,
            obstacle=stop,
        ),
    ]


def _batch_normalisation(params: Params, every: tuple[str, ...]) -> list[Claim]:
    model, stop = "scratch@batchnorm", variant_obstacle(params, "batchnorm", {"batch_norm"})
    pair = (model, BASELINE)
    return [
        Claim(
            id="batchnorm_highest_performance",
            topic="overall",
            statement="Batch normalisation has the highest performance of all variants.",
            models=every,
            statistic="difference of the test accuracy",
            direction="above",
            rule=RULE_EACH.format(side="above") + "; they allow for seeds and test images",
            evaluate=partial(judge_best_of_all, model=model, measurement=ACCURACY, side=1),
            needed=(model,),
            obstacle=stop,
        ),
        Claim(
            id="batchnorm_still_overfits",
            topic="overall",
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
            topic="batch normalisation",
            statement="Batch normalisation brings the level of the loss down.",
            models=pair,
            statistic="difference of the best validation loss, nats",
            direction="below",
            rule=RULE_ONE.format(side="below"),
            evaluate=partial(judge_against, model=model, other=BASELINE, measurement="val_loss_best", side=-1),
            needed=pair,
            obstacle=stop,
        ),
    ]


USUAL_RATE, HIGH_RATE = ("scratch@batchnorm", "scratch@baseline"), ("highrate@batchnorm", "highrate@baseline")
TOLERANCE = 0.05  # largest loss of test accuracy at which a model still tolerates the higher rate


def tolerates_higher_rate(study: Study) -> Finding:
    """Judge the claim that batch normalisation tolerates the higher learning rate, and better than the baseline.

    Its test accuracy must drop by less than TOLERANCE, and by less than the baseline's.
    """
    cost, others_cost = (
        right_answers(study, high) - right_answers(study, usual)
        for high, usual in zip(HIGH_RATE, USUAL_RATE, strict=True)
    )
    seeds = cost.index.intersection(others_cost.index)
    kept = estimate_over_seeds_and_images(cost.to_numpy() + TOLERANCE)
    ahead = estimate_over_seeds_and_images((cost.loc[seeds] - others_cost.loc[seeds]).to_numpy())
    finding = judge(
        [
            Comparison(
                f"{HIGH_RATE[0]} - ({USUAL_RATE[0]} - {100 * TOLERANCE:.0f} points): test accuracy", kept, 1, "share"
            ),
            Comparison(
                f"({HIGH_RATE[0]} - {USUAL_RATE[0]}) - ({HIGH_RATE[1]} - {USUAL_RATE[1]}): test accuracy",
                ahead,
                1,
                "share",
            ),
        ]
    )
    return replace(finding, note="; ".join(filter(None, [finding.note, _accuracies_in_words(study)])))


def _accuracies_in_words(study: Study) -> str:
    """Return a note with the test accuracies of both networks at both learning rates."""
    rates = study.params.highrate.learning_rate, study.params.scratch.learning_rate
    shares = [[right_answers(study, name).to_numpy().mean() for name in names] for names in (HIGH_RATE, USUAL_RATE)]
    said = [
        f"{usual.split('@')[1]} {high_share:.1%} instead of {usual_share:.1%}"
        for usual, high_share, usual_share in zip(USUAL_RATE, *shares, strict=True)
    ]
    return f"at a learning rate of {rates[0]:g} instead of {rates[1]:g}: {', '.join(said)}"


def _learning_rate(params: Params) -> Claim:
    return Claim(
        id="batchnorm_bears_higher_rate",
        topic="batch normalisation",
        statement="Batch normalisation allows a higher learning rate, at which the network without it fails.",
        models=HIGH_RATE + USUAL_RATE,
        statistic="change of the test accuracy from the usual to the higher learning rate",
        direction="above",
        rule=f"supported if batch normalisation loses less than {100 * TOLERANCE:.0f} points to the higher "
        "rate, and less than the baseline does, both 95% intervals beyond 0; contradicted if, widened for "
        "two, one lies on the other side; they allow for seeds and test images; a training that diverges "
        "counts with the answers that it leaves",
        evaluate=tolerates_higher_rate,
        needed=HIGH_RATE + USUAL_RATE,
        may_fail=HIGH_RATE,
        obstacle=variant_obstacle(params, "batchnorm", {"batch_norm"}),
    )
