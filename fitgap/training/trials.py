"""Choose among the candidates of a model by trials, before its repetitions are trained.

Every model of a family gets the same number of trials, the baseline too: Kadra et al., Well-tuned Simple Nets Excel on
Tabular Datasets, 2021, arXiv:2106.11189. Trials have draws of their own, which no statement uses, and read no test
image. The choice is the one with the lowest validation loss, mean over its draws; the weaker one wins ties. All are
tried on one draw, the better half on a second, and half of these on a third: Jamieson & Talwalkar, Non-stochastic Best
Arm Identification and Hyperparameter Optimization, 2016, arXiv:1502.07943.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fitgap.data.draws import trial_seeds
from fitgap.data.record import NO_TRIALS, Result
from fitgap.params.schema import Choice
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.progress import Progress
from fitgap.training.experiment import Experiment

PURE = 1000  # hypercubes looked at for one without a repeated combination; beyond them, several are joined


@dataclass(frozen=True)
class Trials:
    """The trials of one model, and their choice; none if the model has no candidates."""

    experiment: Experiment  # with the choice
    # A row per trial and draw: trial (from 1, the weakest first), draw, rank, keys, measurements.
    table: pd.DataFrame = field(default_factory=NO_TRIALS.copy)
    choice: dict[str, Any] = field(default_factory=dict)  # key -> value
    number: int | None = None  # of the trial chosen

    def added_to(self, result: Result) -> Result:
        """Return the result of the choice with its trials."""
        record = replace(result.record, choice=self.choice or None, chosen_trial=self.number)
        return replace(result, record=record, trials=self.table)


def draw_choices(candidates: Mapping[str, list], count: int) -> list[dict[str, Any]]:
    """Draw different combinations of candidates, the weakest first: those whose values stand earliest in their lists.

    A single one is not drawn: it has the middle candidate of each list.

    A Latin hypercube, so that of each list all values are tried about equally often: McKay, Beckman & Conover 1979,
    doi:10.2307/1268522. Independent draws, as scikit-learn's ParameterSampler makes them, leave out whole blocks.
    """
    if count == 1:
        return [{key: values[len(values) // 2] for key, values in candidates.items()}]
    from scipy.stats.qmc import LatinHypercube  # its import takes a second, which models without trials save

    sizes, places = [len(values) for values in candidates.values()], {}
    for seed in itertools.count():
        sample = LatinHypercube(len(sizes), rng=np.random.default_rng(seed)).random(count)
        drawn = dict.fromkeys(map(tuple, (sample * sizes).astype(int).tolist()))
        places = drawn if seed < PURE else places | drawn
        if len(places) >= count:
            break
    chosen = sorted(itertools.islice(places, count))
    choices = [{key: candidates[key][n] for key, n in zip(candidates, own, strict=True)} for own in chosen]
    return sorted(choices, key=partial(rank, candidates))


def rank(candidates: Mapping[str, list], choice: Choice) -> int:
    """Return how strong a choice is: 0 for the weakest; the learning rate does not count."""
    return sum(values.index(choice[key]) for key, values in candidates.items() if key != "learning_rate")


def run_trials(declared: Experiment, decide: Callable[[Choice], Experiment], checkpoint: Checkpoint) -> Trials:
    """Try combinations of a model's candidates and choose one.

    Parameters
    ----------
    declared : without candidates, nothing is tried
    decide : returns the experiment with a choice
    checkpoint : trials in it, from an earlier killed run, are not run again
    """
    model, experiments = declared.model, {}
    if not model.candidates:
        return Trials(declared)
    choices = draw_choices(model.candidates, model.trials)
    if len(choices) == 1:  # nothing to compare
        return Trials(decide(choices[0]), choice=choices[0])
    for number, choice in enumerate(choices):
        graph = tuple(value for key, value in choice.items() if key != "learning_rate")  # the rate is no part of it
        same = next((other for other, own in experiments.values() if own == graph), None)
        experiments[number] = (replace(decide(choice), compiled=same and same.trainer), graph)
    left, rows = list(range(len(choices))), []
    for draw in trial_seeds(declared.seeds):
        for number in Progress(left, f"{model.label}: trials", unit="trials"):
            measured = _measure(checkpoint, f"trial-{number + 1}-draw-{draw}", experiments[number][0], draw)
            about = {"trial": number + 1, "draw": draw, "rank": rank(model.candidates, choices[number])}
            rows.append(about | choices[number] | measured)
        left = better_half(rows)
    best = left[0]
    return Trials(experiments[best][0], pd.DataFrame(rows), choices[best], best + 1)


def better_half(rows: Sequence[Mapping[str, float]]) -> list[int]:
    """Return the places of the better half of the trials with the most draws, at least two, the best first."""
    losses: dict[int, list[float]] = {}
    for row in rows:
        losses.setdefault(row["trial"] - 1, []).append(np.nan_to_num(row["val_loss_best"], nan=np.inf))
    most = max(map(len, losses.values()))
    scores = {number: np.mean(own) for number, own in losses.items() if len(own) == most}
    return sorted(scores, key=scores.get)[: max(2, -(-len(scores) // 2))]  # sorting keeps the weaker first


def _measure(checkpoint: Checkpoint, name: str, experiment: Experiment, draw: int) -> dict[str, float]:
    measured = checkpoint.load(name)
    if measured is None:
        checkpoint.save(name, measured := experiment.measure_trial(draw))
    return measured
