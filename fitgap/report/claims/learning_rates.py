"""The claim that batch normalisation bears a learning rate at which the network without it fails."""

from dataclasses import replace

from fitgap.params import Params
from fitgap.report.claims.claim import Claim
from fitgap.report.claims.comparing import right_answers
from fitgap.report.claims.remedies import obstacle
from fitgap.report.statistics import over_seeds_and_images
from fitgap.report.study import Study
from fitgap.report.verdicts import Comparison, Finding, judge

USUAL, HIGH = ("scratch@batchnorm", "scratch@baseline"), ("highrate@batchnorm", "highrate@baseline")
TOLERANCE = 0.05  # of test accuracy: who loses less than this to the higher rate tolerates it


def bears_a_higher_rate(study: Study) -> Finding:
    """Judge that the higher rate costs batch normalisation little, and less than it costs the baseline."""
    cost, others_cost = (
        right_answers(study, high) - right_answers(study, usual) for high, usual in zip(HIGH, USUAL, strict=True)
    )
    seeds = cost.index.intersection(others_cost.index)
    kept = over_seeds_and_images(cost.to_numpy() + TOLERANCE)
    ahead = over_seeds_and_images((cost.loc[seeds] - others_cost.loc[seeds]).to_numpy())
    finding = judge(
        [
            Comparison(f"{HIGH[0]} - ({USUAL[0]} - {100 * TOLERANCE:.0f} points): test accuracy", kept, 1, "share"),
            Comparison(f"({HIGH[0]} - {USUAL[0]}) - ({HIGH[1]} - {USUAL[1]}): test accuracy", ahead, 1, "share"),
        ]
    )
    return replace(finding, note="; ".join(filter(None, [finding.note, _in_words(study)])))


def _in_words(study: Study) -> str:
    """Say both accuracies of both networks."""
    rates = study.params.highrate.learning_rate, study.params.scratch.learning_rate
    shares = [[right_answers(study, name).to_numpy().mean() for name in names] for names in (HIGH, USUAL)]
    said = [
        f"{usual.split('@')[1]} {high_share:.1%} instead of {usual_share:.1%}"
        for usual, high_share, usual_share in zip(USUAL, *shares, strict=True)
    ]
    return f"at a learning rate of {rates[0]:g} instead of {rates[1]:g}: {', '.join(said)}"


def claims(params: Params) -> list[Claim]:
    """List the one claim about learning rates."""
    return [
        Claim(
            id="batchnorm_bears_higher_rate",
            statement="Batch normalisation allows a higher learning rate, at which the network without it fails.",
            models=HIGH + USUAL,
            statistic="change of the test accuracy from the usual to the higher learning rate",
            direction="above",
            rule=f"supported if batch normalisation loses less than {100 * TOLERANCE:.0f} points to the higher "
            "rate, and less than the baseline does, both 95% intervals beyond 0; contradicted if, widened for "
            "two, one lies on the other side; they allow for seeds and test images; a training that diverges "
            "counts with the answers that it leaves",
            evaluate=bears_a_higher_rate,
            needed=HIGH + USUAL,
            may_fail=HIGH,
            obstacle=obstacle(params, "batchnorm", {"batch_norm"}),
        )
    ]
