"""Claims about the remedies against overfitting, on the notes' network trained from scratch."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from fitgap.claims.choices import OF_ACCURACY, OF_ANSWERS, OF_GAP
from fitgap.claims.claim import CHECKS, CannotTellError, Claim
from fitgap.claims.comparisons import (
    ACCURACY,
    BASELINE,
    BEST_LOSS,
    GAP,
    IMAGES,
    RULE_ONE,
    WEIGHT_NORM,
    Quantity,
    against,
    ahead_of_all,
    as_chosen,
    compare,
    failed_in,
    right_answers,
    rivals,
    variant_obstacle,
)
from fitgap.claims.study import Study
from fitgap.inference.estimates import Estimate, estimate_over_seeds
from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Comparison, Finding, judge, ties
from fitgap.params.schema import Params

DROPOUT, BATCHNORM = "scratch@dropout", "scratch@batchnorm"
USUAL_RATE, HIGH_RATE = (BATCHNORM, BASELINE), ("highrate@batchnorm", "highrate@baseline")
TOLERANCE = 0.05  # largest loss of test accuracy at which a model still tolerates the higher rate
REGULARISERS = {"l1": ("L1", {"l1"}), "l2": ("L2", {"l2"}), "elasticnet": ("ElasticNet", {"l1", "l2"})}
STEADINESS_MARGIN = 0.02  # nats; smaller differences of the jumps are not relevant
FEWEST_EPOCHS = 4  # gives two second differences; a single one is no measure of steadiness
CONTESTS = ((ACCURACY, 1), (GAP, -1))  # with the side on which a model is ahead


def claims(params: Params) -> list[Claim]:
    """Return the claims about dropout, batch normalisation, regularisers, and all remedies together."""
    return [
        *_dropout(params),
        *_batch_normalisation(params),
        _learning_rate(params),
        _early_stopping(),
        *(claim for variant in REGULARISERS for claim in _regulariser(params, variant)),
        _no_winner(params),
    ]


def _dropout(params: Params) -> list[Claim]:
    every, pair = [f"scratch@{name}" for name in params.variants], (DROPOUT, BASELINE)
    stop = variant_obstacle(params, "dropout", {"dropout"})
    least = "Dropout: its training and validation curves separate least of all variants."
    apart = "Dropout: the curves do not drift apart as they do without a remedy."
    return [
        ahead_of_all("dropout_separates_least", least, every, DROPOUT, GAP, -1, stop),
        against("dropout_gap_below_baseline", "dropout", apart, pair, GAP, -1, stop),
        against("dropout_improves_accuracy", "dropout", "Dropout improves accuracy too.", pair, ACCURACY, 1, stop),
    ]


def _batch_normalisation(params: Params) -> list[Claim]:
    every, pair = [f"scratch@{name}" for name in params.variants], (BATCHNORM, BASELINE)
    stop = variant_obstacle(params, "batchnorm", {"batch_norm"})
    margin = f"{GAP.margin:g} {GAP.unit}"
    highest = "Batch normalisation has the highest performance of all variants."
    lower = "Batch normalisation brings the level of the loss down."
    return [
        ahead_of_all("batchnorm_highest_performance", highest, every, BATCHNORM, ACCURACY, 1, stop),
        Claim(
            id="batchnorm_still_overfits",
            topic="overall",
            statement="Batch normalisation still overfits: it is not a remedy against overfitting as such.",
            models=(BATCHNORM,),
            statistic=f"final gap beyond the margin of {margin} up to which a difference of gaps is not relevant",
            direction="above",
            rule=f"supported if the 95% interval of the final gap lies above {margin}; contradicted if it lies below",
            evaluate=partial(still_overfits, model=BATCHNORM),
            needed=(BATCHNORM,),
            choices=OF_GAP,
            moved=(BATCHNORM,),
            obstacle=stop,
        ),
        against("batchnorm_lowers_loss", "batch normalisation", lower, pair, BEST_LOSS, -1, stop),
    ]


def still_overfits(study: Study, model: str) -> Finding:
    """Judge the claim that a model overfits: its final gap is relevant, clearly above the margin of gaps.

    The notes compare with no share of the baseline's gap, so the rule has none. Nor does it ask whether the gap grows
    after the best epoch: by the definition of that epoch the validation loss cannot fall below it, and the training
    loss goes on falling, so the answer is yes in any case, or nothing at all where the best epoch is the last.
    """
    gap = as_chosen(study, GAP)
    beyond = estimate_over_seeds(study.seeds(model)[gap.measured] - gap.margin)
    return judge([Comparison(f"{model}: {gap.title} - {gap.margin:g}", beyond, 1, gap.unit)])


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
        choices=OF_ANSWERS,
        obstacle=variant_obstacle(params, "batchnorm", {"batch_norm"}),
    )


def tolerates_higher_rate(study: Study) -> Finding:
    """Judge the claim that batch normalisation tolerates the higher learning rate, and better than the baseline.

    Its test accuracy must drop by less than TOLERANCE, and by less than the baseline's.
    """
    cost, others_cost = (
        right_answers(study, high) - right_answers(study, usual)
        for high, usual in zip(HIGH_RATE, USUAL_RATE, strict=True)
    )
    seeds = cost.index.intersection(others_cost.index)
    compared = {
        f"{HIGH_RATE[0]} - ({USUAL_RATE[0]} - {100 * TOLERANCE:.0f} points): test accuracy": cost + TOLERANCE,
        f"({HIGH_RATE[0]} - {USUAL_RATE[0]}) - ({HIGH_RATE[1]} - {USUAL_RATE[1]}): test accuracy": (
            cost.loc[seeds] - others_cost.loc[seeds]
        ),
    }
    comparisons = [
        Comparison(label, study.over_images(values.to_numpy()), 1, "share") for label, values in compared.items()
    ]
    return judge(comparisons).with_note(_accuracies_in_words(study))


def _accuracies_in_words(study: Study) -> str:
    """Return a note with the test accuracies of both networks at both learning rates."""
    shares = [[right_answers(study, name).to_numpy().mean() for name in names] for names in (HIGH_RATE, USUAL_RATE)]
    changes = [
        f"{usual.split('@')[1]} {high_share:.1%} instead of {usual_share:.1%}"
        for usual, high_share, usual_share in zip(USUAL_RATE, *shares, strict=True)
    ]
    return f"at a learning rate of {study.params.highrate.learning_rate:g} instead of the usual: {', '.join(changes)}"


def _early_stopping() -> Claim:
    return Claim(
        id="early_stopping",
        topic="early stopping",
        statement="Early stopping: stopping at the lowest validation loss is more accurate than training on to the "
        "last epoch.",
        models=(BASELINE,),
        statistic="difference of the test accuracy at the epoch of the lowest validation loss and at the last",
        direction="above",
        rule=RULE_ONE.format(side="above") + f"; it allows for {IMAGES}",
        evaluate=early_stopping,
        needed=(BASELINE,),
        choices=("peak", "seeds"),
    )


def early_stopping(study: Study) -> Finding:
    """Judge the claim that the baseline is more accurate where it is stopped than at its last epoch."""
    if "test_accuracy_last" not in study.seeds(BASELINE):
        raise CannotTellError(f"{BASELINE} was not tested at its last epoch")
    last = (study.as_stated or study).under(replace(study.choice, moment="last"))
    difference = study.paired_difference(right_answers(study, BASELINE), right_answers(last, BASELINE))
    label = f"{BASELINE}: test accuracy where it is stopped - at the last epoch"
    return judge([Comparison(label, difference, 1, ACCURACY.unit, ACCURACY.margin)])


def _regulariser(params: Params, variant: str) -> list[Claim]:
    title, remedies = REGULARISERS[variant]
    pair, stop = (f"scratch@{variant}", BASELINE), variant_obstacle(params, variant, remedies)
    steadier = f"{title} regularisation gives steadier validation curves."
    smaller = f"{title} regularisation shrinks the weights."
    return [
        against(f"{variant}_steadier", "regularisers", steadier, pair, JUMPS, -1, stop),
        against(f"{variant}_smaller_weights", CHECKS, smaller, pair, WEIGHT_NORM, -1, stop),
    ]


def unsteadiness(history: pd.DataFrame) -> pd.Series:
    """Measure how much each seed's validation loss jumps around its local trend, in nats: one value per seed.

    This is the residual standard deviation from second differences: each epoch against the mean of its neighbours.
    A smooth fall or rise counts as steady however steep it is; a zigzag does not. Gasser, Sroka, Jennen-Steinmetz,
    Residual variance and residual pattern in nonlinear regression, Biometrika 73 (1986),
    doi:10.1093/biomet/73.3.625. `history` has the columns seed, epoch and val_loss.

    Raises a CannotTellError if there are fewer than FEWEST_EPOCHS epochs.
    """
    curves = history.pivot(index="epoch", columns="seed", values="val_loss").sort_index()
    if len(curves) < FEWEST_EPOCHS:
        raise CannotTellError(f"{len(curves)} epochs are too few to speak of a curve's steadiness")
    jumps = np.diff(curves.to_numpy(), n=2, axis=0)  # variance of each: 6 sigma^2
    return pd.Series(np.sqrt((jumps**2).mean(axis=0) / 6), index=curves.columns)


def _difference_of_jumps(study: Study, model: str, other: str) -> Estimate:
    return estimate_over_seeds(unsteadiness(study.history(model)) - unsteadiness(study.history(other)))


JUMPS = Quantity(
    title="jumps of the validation loss",
    statistic="difference of the validation loss's jumps around its local trend "
    "(residual sd from second differences over epochs), nats",
    unit="nats",
    margin=STEADINESS_MARGIN,
    difference=_difference_of_jumps,
)


def _no_winner(params: Params) -> Claim:
    families = ("scratch", "head") if params.backbone.weights != "none" else ("scratch",)
    every = [f"{family}@{name}" for family in families for name in params.variants]
    return Claim(
        id="no_remedy_wins_everywhere",
        topic="overall",
        statement="No remedy is guaranteed to help: none of them wins everywhere.",
        models=tuple(model for model in every if model not in params.without_model),
        statistic="difference of test accuracy or final gap between a remedy and another variant",
        direction="either",
        rule="supported if for each remedy some variant is ahead of it in test accuracy or final gap, or behind it "
        "by less than the margin, from scratch or on frozen features, by intervals widened for all its comparisons "
        "(Bonferroni); contradicted if one remedy is ahead of all variants in all of them",
        evaluate=partial(no_winner_everywhere, families=families),
        choices=tuple(dict.fromkeys((*OF_ACCURACY, *OF_GAP))),
        moved=tuple(model for model in every if params.variants[model.split("@")[1]].remedies),
    )


def no_winner_everywhere(study: Study, families: tuple[str, ...]) -> Finding:
    """Judge the claim that every remedy is beaten, or equalled, by some other variant in some contest.

    A contest is one quantity in one family. For each remedy, judge the opposite: it is ahead of every other
    variant in every contest. The claim is supported if for every remedy that is contradicted, or the difference to
    some variant is not relevant (an intersection-union test again), and contradicted if it is supported for one.
    """
    remedies = [name for name, variant in study.params.variants.items() if variant.remedies]
    contests = [_contests(study, name, families) for name in remedies]
    opposites = [judge(comparisons) for comparisons in contests if comparisons]
    if not opposites:
        raise CannotTellError("there are no two variants to compare")
    order = (CONTRADICTED, INCONCLUSIVE, SUPPORTED)
    shown = min(opposites, key=lambda finding: order.index(_opposite(finding)))
    return _turn(shown, _opposite(shown)).with_note(failed_in(study, *families))


def _opposite(finding: Finding) -> str:
    """Return the verdict on "does not win everywhere" from the finding on "wins everywhere"; one tie suffices."""
    if finding.verdict == INCONCLUSIVE:
        return SUPPORTED if ties(finding.comparisons) else INCONCLUSIVE
    return CONTRADICTED if finding.verdict == SUPPORTED else SUPPORTED


def _turn(finding: Finding, verdict: str) -> Finding:
    """Turn a finding on "wins everywhere" into one on "does not win everywhere"."""
    comparisons = tuple(replace(comparison, direction=-comparison.direction) for comparison in finding.comparisons)
    deciding = replace(finding.deciding, direction=-finding.deciding.direction)
    return replace(finding, verdict=verdict, deciding=deciding, comparisons=comparisons)


def _contests(study: Study, variant: str, families: tuple[str, ...]) -> list[Comparison]:
    """Compare a variant with every other variant in each contest where both have results."""
    models = [f"{family}@{variant}" for family in families]
    return [
        comparison
        for model, (quantity, side) in itertools.product(models, CONTESTS)
        if model in study.results and model not in study.failed
        for comparison in compare(study, model, rivals(study, model), quantity, side)
    ]
