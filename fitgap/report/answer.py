"""The report's answer in a few sentences: which model to use, how good it is, and who keeps the curves together.

**Names** are marked as in Markdown.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from fitgap.claims.comparisons import (
    ACCURACY,
    ACCURACY_GAP,
    ACCURACY_MARGIN,
    BASELINE,
    GAP,
    Quantity,
    judge_best_of_all,
    rivals,
)
from fitgap.claims.learning_curve import right_by_size
from fitgap.claims.study import Study
from fitgap.data.draws import count_drawn
from fitgap.definitions.measurements import MEASUREMENTS, UNITS
from fitgap.inference.estimates import LEVEL, Estimate, estimate_over_seeds
from fitgap.inference.verdicts import NO_DIFFERENCE, SUPPORTED
from fitgap.report import formatting
from fitgap.report.figures.learning_curve import LearningCurve
from fitgap.report.trials import cut_epochs

KINDS = {"scratch": "trained from scratch", "borrowed": "built on VGG16 borrowed from {source}"}


def write_answer(
    study: Study, table: pd.DataFrame, curve: LearningCurve | None, confusion: pd.DataFrame | None = None
) -> list[str]:
    """Return sentences on the best model, on the best of the other way, on where they meet, and on the smallest gaps.

    On pictures of one's own, they go on with what the two cost, whether more pictures would help, and what the best
    model mixes up: `confusion` has true classes as rows, answers as columns, and shares.

    The two are chosen by their validation accuracy; a sentence says so if a way has none. Of models that only guess,
    nothing else is said.
    """
    rows, chosen = table.set_index("model"), dict(study.contestants)
    missing = []
    if "scratch" not in chosen:
        missing.append("No network trained from scratch has results to speak of.")
    if not study.is_transfer:
        chosen.pop("borrowed", None)
        missing.append("Nothing can be said of transfer learning: backbone.weights is none, a random network.")
    elif "borrowed" not in chosen:
        missing.append("What borrowing brings cannot be said: no model that borrows has results.")
    if study.is_guessing:
        share = _accuracy(rows.loc[study.best])
        return [
            f"No model is clearly better than guessing: the best by validation, **{study.best}**, gets {share}.",
            *missing,
        ]
    compared, cut = recommend(study, rows, chosen), _cut_off(study, chosen.values())
    meeting = [curve.sentence] if curve and curve.sentence else []
    own = study.params.data.source == "directory" and study.best is not None
    further = [*_costs(rows, chosen.values()), *_more_pictures(study), *_mixed_up(confusion)] if own else []
    return [*compared, *missing, *cut, *meeting, *further, *(closest(study) if "scratch" in chosen else [])]


def recommend(study: Study, rows: pd.DataFrame, chosen: dict[str, str]) -> list[str]:
    """Return a sentence on the best of `chosen` (way -> model), and one that compares it with the other."""
    ways = sorted(chosen, key=lambda way: chosen[way] != study.best)  # the best one first
    kinds = [KINDS[way].format(source=study.borrowed_from) for way in ways]
    shares = [_accuracy(rows.loc[chosen[way]]) for way in ways]
    sentences = []
    if ways:
        sentences.append(f"By validation, the model to use is **{chosen[ways[0]]}**, {kinds[0]}: it gets {shares[0]}.")
    if len(ways) > 1:
        first, second = (chosen[way] for way in ways)
        sentences.append(f"The best {kinds[1]}, **{second}**, gets {shares[1]}; {_compare(study, first, second)}.")
    return sentences


def _cut_off(study: Study, models: Iterable[str]) -> list[str]:
    """Return a sentence on the models whose training may have ended too early; none without one."""
    cut = [f"**{name}**" for name in models if cut_epochs(study, study.results[name].record)]
    text = f"More epochs may still help {' and '.join(cut)}: most repetitions are best at the last one."
    return [text] if cut else []


def _accuracy(row: pd.Series) -> str:
    low, high = (100 * row[f"test_accuracy_ci_{end}"] for end in ("low", "high"))
    share = formatting.percent(row["test_accuracy_mean"])
    return f"{share} of the test images right (95% interval {low:.1f} to {high:.1f}%)"


def _compare(study: Study, first: str, second: str) -> str:
    difference = ACCURACY.difference(study, first, second)
    low, high = difference.interval() or (-np.inf, np.inf)
    ahead = f"{first if low > 0 else second} is clearly ahead" if low > 0 or high < 0 else "neither is clearly ahead"
    return f"{ahead}, the difference is {_measured(difference, 'share')}"


def _costs(rows: pd.DataFrame, models: Iterable[str]) -> list[str]:
    """Return a sentence on how long one training of each model takes; none if that was not measured."""
    seconds = rows.loc[list(models), "seconds_mean"].dropna()
    times = [f"{each:.3g} s for {name}" for name, each in seconds.items()]
    return [f"One training took {' and '.join(times)}."] if times else []


def _more_pictures(study: Study) -> list[str]:
    """Return a sentence on what the last step of the learning curve brought the best model; none without a step."""
    way = next(way for way, name in study.contestants.items() if name == study.best)
    right = right_by_size(study, way)
    if len(right) < 2:
        return []
    fewer, more = list(right)[-2:]
    gain = study.over_images(right[more] - right[fewer])
    low, high = gain.interval() or (-np.inf, np.inf)
    hope = "more pictures should help" if low > 0 else "whether more pictures would help is not clear"
    hope = "more pictures would hardly help" if max(-low, high) < ACCURACY_MARGIN else hope
    return [f"From {fewer} to {more} training images its accuracy changes by {_measured(gain, 'share')}: {hope}."]


def _mixed_up(confusion: pd.DataFrame | None) -> list[str]:
    """Return a sentence on the largest share of a class that is taken for another; none without a mistake."""
    wrong = confusion.where(~np.eye(len(confusion), dtype=bool), 0.0).stack() if confusion is not None else pd.Series()
    if wrong.empty or wrong.max() == 0:
        return []
    truth, answer = wrong.idxmax()
    return [f"It most often mistakes **{truth}** for **{answer}**: {wrong.max():.0%} of the test images of {truth}."]


def closest(study: Study) -> list[str]:
    """Return a sentence each on the smallest final gap in accuracy and in loss, of the variants from scratch."""
    return [
        f"From scratch, training and validation end closest in accuracy with {_closest(study, ACCURACY_GAP)}.",
        f"In loss, they end closest with {_closest(study, GAP)}.",
    ]


def _closest(study: Study, quantity: Quantity) -> str:
    """Return a clause on the variant with the smallest gap: how small it is, whom it is ahead of, and at what price."""
    scratch = [name for name in study.names("scratch") if name not in study.failed]
    (factor, unit), digits = UNITS[quantity.unit], 2 if quantity is GAP else 1
    gaps = {name: factor * study.seeds(name)[quantity.measured].mean() for name in scratch}
    best = min(gaps, key=gaps.get)
    words = [f"{gaps[best]:.{digits}f}{unit} apart"]
    if best != BASELINE and BASELINE in gaps:
        words += [f"{gaps[BASELINE]:.{digits}f} without a remedy", *_price(study, best)]
    return f"**{best}**: {', '.join([*words, _rank(study, best, quantity)])}"


def _rank(study: Study, model: str, quantity: Quantity) -> str:
    """Return whether a model is ahead of every other variant, and the rival and the interval that decide."""
    if not rivals(study, model):
        return "with nothing to compare it with"
    finding = judge_best_of_all(study, model, quantity, side=-1)
    rival = finding.deciding.label.split(" - ")[1].split(":")[0]
    words = {SUPPORTED: "clearly ahead of every other variant, even of", NO_DIFFERENCE: "no relevant difference to"}
    difference = _measured(finding.deciding.estimate, quantity.unit)
    return f"{words.get(finding.verdict, 'not clearly ahead of')} {rival}: {difference}"


def _price(study: Study, model: str) -> list[str]:
    """Return that a gap is small by not learning, if the validation accuracy is clearly below the baseline's."""
    own, baseline = (study.seeds(name)["val_accuracy_best"] for name in (model, BASELINE))
    difference = estimate_over_seeds(own - baseline)
    ends = difference.interval()
    if ends is None or ends[1] >= 0 or difference.value > -MEASUREMENTS["val_accuracy_best"].margin:
        return []
    return [f"but by not learning: its validation accuracy differs by {_measured(difference, 'share')}"]


def count_images(study: Study) -> dict[str, int]:
    """Count the images of the pool and of each split; in the pool, copies count once."""
    prepared = study.prepared
    fixed = {name: rows.stop - rows.start for name, rows in prepared.rows.items() if name != "pool"}
    pool = len(np.unique(prepared.copies[prepared.rows["pool"]]))
    return fixed | count_drawn(prepared, study.params.data) | {"pool": pool}


def _measured(estimate: Estimate, unit: str) -> str:
    low, high = estimate.interval() or (None, None)
    numbers = {"estimate": estimate.value, "ci_low": low, "ci_high": high, "unit": unit, "confidence": LEVEL}
    return formatting.measured(numbers)
