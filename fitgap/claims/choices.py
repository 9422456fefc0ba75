"""The choices that a verdict may depend on: each statement is judged under all that apply to it.

Another sensible analyst could have measured the models at another epoch, the gap in another unit, or chosen the next
strength. None of these choices trains anything again. A multiverse analysis: Steegen, Tuerlinckx, Gelman, Vanpaemel,
Increasing Transparency Through a Multiverse Analysis, Perspectives on Psychological Science 11 (2016),
doi:10.1177/1745691616658637.

CHOICES is fixed. A choice may be neither added nor dropped once its result has been seen.
"""

from dataclasses import dataclass, replace

import pandas as pd

from fitgap.data.record import Result
from fitgap.data.results import ESSENTIAL


@dataclass(frozen=True)
class Choice:
    """One way to measure and to judge; the defaults are those of the statements."""

    id: str
    title: str  # completes "turns to contradicted ..."
    moment: str = ""  # one of MOMENTS at which accuracy, loss and gap are all measured; "": the statement's own
    gap_unit: str = "nats"  # or "share": training accuracy minus validation accuracy
    over_images: bool = True  # whether intervals of answers on the test images allow for the choice of the images
    step: int = 0  # -1: the statement's model has the next weaker strength that was tried; 1: the next stronger
    target: float = 0.95  # share of the baseline's late accuracy that transfer learning must reach quickly


AS_STATED = Choice("as_stated", "as stated")
CHOICES = (
    Choice("best", "at the lowest validation loss", moment="best"),
    Choice("peak", "at the highest validation accuracy", moment="peak"),
    Choice("last", "at the last epoch", moment="last"),
    Choice("accuracy_gap", "with the gap in accuracy", gap_unit="share"),
    Choice("seeds", "by intervals over repetitions alone", over_images=False),
    Choice("weaker", "at the next weaker strength", step=-1),
    Choice("stronger", "at the next stronger strength", step=1),
    Choice("target_90", "for 90% of the baseline's accuracy", target=0.9),
    Choice("target_100", "for 100% of the baseline's accuracy", target=1.0),
)
# Which choices bear on a statement about ...
MOMENTS, STRENGTHS, TARGETS = ("best", "peak", "last"), ("weaker", "stronger"), ("target_90", "target_100")
OF_ANSWERS = (*MOMENTS, "seeds")  # ... answers on the test images
OF_ACCURACY = (*OF_ANSWERS, *STRENGTHS)
OF_LOSS = (*MOMENTS, *STRENGTHS)
OF_GAP = (*OF_LOSS, "accuracy_gap")


def as_trial(result: Result, step: int = 0) -> Result | None:
    """Return a model as its chosen trial, or as the nearest weaker (-1) or stronger (1) one; None without such a trial.

    Its repetitions are the draws of the trial. Validation accuracy stands in for test accuracy, because trials never
    read the test images.
    """
    trials, number = result.trials, result.record.chosen_trial
    if trials is None or number is None:
        return None
    if step:
        number = _neighbour(trials, number, step)
    rows = trials[trials["trial"] == number]
    measured = rows[list(ESSENTIAL)].assign(
        seed=rows["draw"],
        val_accuracy_best=rows["val_accuracy_best"],
        test_accuracy=rows["val_accuracy_best"],
        gap_last=rows["val_loss_last"] - rows["train_loss_last"],
        accuracy_gap_last=rows["train_accuracy_last"] - rows["val_accuracy_last"],
    )
    record = replace(result.record, seeds=measured.to_dict("records"), moments=None)
    return None if rows.empty else Result(record, trials=trials)


def _neighbour(trials: pd.DataFrame, chosen: int, step: int) -> int | None:
    """Return the trial of the nearest weaker or stronger rank; of several, that with the most draws, then the best."""
    measured = {"rank": ("rank", "first"), "draws": ("draw", "size"), "loss": ("val_loss_best", "mean")}
    by_trial = trials.groupby("trial").agg(**measured)
    beyond = by_trial[(by_trial["rank"] - by_trial.loc[chosen, "rank"]) * step > 0]
    ordered = beyond.sort_values(["rank", "draws", "loss"], ascending=[step > 0, False, True])
    return None if ordered.empty else int(ordered.index[0])


def as_trials(results: dict[str, Result], step: int, moved: tuple[str, ...]) -> dict[str, Result]:
    """Return all models that have trials as these: those `moved` one step on where there is one, others as chosen."""
    trials = {name: (name in moved and as_trial(result, step)) or as_trial(result) for name, result in results.items()}
    return {name: trial for name, trial in trials.items() if trial is not None}
