"""What the report says of the trials: what was tried and chosen, what looks cut off, and what more trials brought."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import comb

from fitgap.claims.study import Study
from fitgap.data.record import Record
from fitgap.definitions.families import FAMILIES
from fitgap.params.variants import HEAD_KEYS
from fitgap.report.formatting import NOTHING, number

COUNTS = (1, 2, 4)  # of trials, for the growth of the score
HEADINGS = ("model", "trials", "chosen", "its validation loss", *(f"best of {n}" for n in (*COUNTS, "all")), "remarks")
FEWEST = 3  # candidates of a key, for its first and last to be the ends of a range


def describe_strengths(study: Study) -> dict[str, str]:
    """Return model name -> the values of its remedies, as trials chose them or params.yaml has them: "dropout 0.3"."""
    records = {name: result.record for name, result in study.results.items()}
    return {name: in_words(_strengths(study, record)) for name, record in records.items() if record.variant}


def in_words(choice: Mapping[str, Any]) -> str:
    """Return a choice in words, such as "dropout 0.3, learning rate 0.002"; "" if it has only remedies to switch on."""
    shown = {key: value for key, value in choice.items() if not isinstance(value, bool | list)}
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in shown.items())


def expected_best(losses: np.ndarray, count: int) -> float:
    """Return the lowest loss to expect of `count` of the losses, drawn at random without replacement.

    The curve of Dodge et al., Show Your Work, 2019, arXiv:1909.03004, who draw with replacement; without it the
    estimator has no bias: Tang et al., Showing Your Work Doesn't Always Work, 2020, arXiv:2004.13705.
    """
    ranked = np.sort(np.nan_to_num(losses, nan=np.inf))
    higher = np.arange(len(ranked))[::-1]  # how many losses are higher than each
    shares = comb(higher, count - 1) / comb(len(ranked), count)  # how often it is the lowest
    return float(ranked[shares > 0] @ shares[shares > 0])


def trial_rows(study: Study) -> list[tuple[str, ...]]:
    """Return a row for each model that has trials or a remark, in the order of HEADINGS."""
    most = _most_trials(study)
    rows = [_row(study, name, most) for name in study.results if FAMILIES[study.results[name].record.stage].network]
    return [row for row in rows if (row[1], row[-1]) != (NOTHING, NOTHING)]


def _row(study: Study, name: str, most: Mapping[str, int]) -> tuple[str, ...]:
    record, trials = study.results[name].record, study.results[name].trials
    remarks = [*_cut_choices(study, record), *cut_epochs(study, record)]
    if trials is None or trials.empty:
        return (name, *[NOTHING] * (len(HEADINGS) - 2), "; ".join(remarks) or NOTHING)
    first = trials[trials["draw"] == trials["draw"].iloc[0]]["val_loss_best"].to_numpy(float)
    chosen = trials[trials["trial"] == record.chosen_trial]["val_loss_best"]
    if len(first) < most[record.stage]:
        remarks.append(f"fewer trials than the {most[record.stage]} of others: it has no more combinations")
    best = [number(expected_best(first, count)) if count <= len(first) else NOTHING for count in (*COUNTS, len(first))]
    loss = f"{number(chosen.mean())} ({len(chosen)} draws)"
    return (name, str(len(first)), in_words(record.choice), loss, *best, "; ".join(remarks) or NOTHING)


def _most_trials(study: Study) -> dict[str, int]:
    """Return family -> the largest number of trials of its models."""
    tried = [result for result in study.results.values() if result.trials is not None]
    counts = pd.Series([result.trials["trial"].nunique() for result in tried], [own.record.stage for own in tried])
    return counts.groupby(level=0).max().to_dict()


def _cut_choices(study: Study, record: Record) -> list[str]:
    """Return a remark on the numbers chosen at an end of their candidates: values beyond it may be better."""
    candidates, choice = study.params.model(record.stage, record.variant).candidates, record.choice or {}
    ends = {key: (own[0], own[-1]) for key, own in candidates.items() if len(own) >= FEWEST}
    cut = {key: value for key, value in choice.items() if isinstance(value, int | float) and value in ends.get(key, ())}
    return [f"cut off: {in_words(cut)} at an end of the candidates"] if cut else []


def cut_epochs(study: Study, record: Record) -> list[str]:
    """Return a remark if the best epoch is the last one for most repetitions: more epochs may be better."""
    own = FAMILIES[record.stage]
    epochs = pd.DataFrame(record.seeds or [], columns=["epochs_to_best"])["epochs_to_best"]
    last = int((epochs == getattr(study.params, own.network).epochs).sum())
    if not own.is_offered or 2 * last <= len(epochs):
        return []
    return [f"cut off: the best epoch is the last in {last} of {len(epochs)} repetitions"]


def _strengths(study: Study, record: Record) -> dict[str, Any]:
    start = study.params.finetune.head if record.stage == "finetune" else record.variant
    variant = study.params.variants[start]
    own = variant.remedies | {key: value for key in HEAD_KEYS if (value := getattr(variant, key)) is not None}
    return {key: record.params.get(key, value) for key, value in own.items()}


def _value(value: Any) -> str:
    return np.format_float_positional(value, trim="-") if isinstance(value, int | float) else str(value)
