"""Claims about calibration: whether a remedy makes a network's probabilities more honest.

This is a question of fitgap itself, not of the notes. A remedy that closes the gap should also calm a network that is
too sure of itself: the loss punishes false certainty most. Label smoothing is known to improve calibration of large
networks (Müller, Kornblith, Hinton, When Does Label Smoothing Help?, NeurIPS 2019, arXiv:1906.02629).
"""

from functools import partial

from fitgap.claims.calibration_error import CALIBRATION_ERROR, calibration_difference, read_answers
from fitgap.claims.claim import CannotTellError, Claim
from fitgap.claims.comparisons import BASELINE, RULE_ONE, variant_obstacle
from fitgap.claims.study import Study
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

STATEMENTS = {
    "dropout": "A remedy that closes the gap makes the probabilities more honest too: dropout lowers the calibration "
    "error.",
    "label_smoothing": "Label smoothing makes the probabilities more honest: it lowers the calibration error.",
}


def calibrates(study: Study, model: str) -> Finding:
    """Judge the claim that a model's calibration error is below the baseline's."""
    answers = [read_answers(study, name) for name in (model, BASELINE)]
    for name, found in zip((model, BASELINE), answers, strict=True):
        if found is None:
            raise CannotTellError(f"{name} left no answers on the test images")
    label = f"{model} - {BASELINE}: {CALIBRATION_ERROR.title}"
    difference = calibration_difference(*answers)
    return judge([Comparison(label, difference, -1, CALIBRATION_ERROR.unit, CALIBRATION_ERROR.margin)])


def claims(params: Params) -> list[Claim]:
    """Return one claim for each remedy of STATEMENTS."""
    return [
        Claim(
            id=f"{variant}_calibrates",
            topic="calibration",
            statement=statement,
            models=(f"scratch@{variant}", BASELINE),
            statistic="difference of the expected calibration error (15 bins of equal width) on the test images",
            direction="below",
            rule=RULE_ONE.format(side="below") + "; it allows for seeds and test images",
            evaluate=partial(calibrates, model=f"scratch@{variant}"),
            needed=(f"scratch@{variant}", BASELINE),
            obstacle=variant_obstacle(params, variant, {variant}),
        )
        for variant, statement in STATEMENTS.items()
    ]
