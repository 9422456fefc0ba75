"""Judge contestants: each against the reference, all pairs, and which is best."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from fitgap.claims.claim import DIRECTIONS, Claim, describe_claim
from fitgap.inference.estimates import ERROR
from fitgap.inference.verdicts import INCONCLUSIVE, NO_DIFFERENCE, Comparison, Finding, judge
from fitgap.judging.columns import Scores, choose_scores, words
from fitgap.judging.comparisons import adjust, estimate_difference, p_value
from fitgap.judging.runs import Runs, read_runs
from fitgap.system.errors import UserError

RULE = "the 95% interval of each difference lies on the stated side of 0"
REFERENCES = {"baseline", "reference", "control", "base", "vanilla", "default"}
Entry = dict[str, Any]  # with the keys of claims.json (`claims.claim.describe_claim`)


@dataclass(frozen=True)
class Judgement:
    """Verdicts on contestants."""

    runs: Runs
    scores: Scores
    side: int  # 1 if higher is better, -1 if lower is
    margin: float | None
    folds: int  # of a cross-validation; 0 if repetitions are independent
    reference: str | None
    notes: list[str]  # what was guessed and left out, and what limits the verdicts

    @cached_property
    def against(self) -> list[Entry]:
        """An entry per contestant: it is better than the reference; empty without one."""
        others = [who for who in self.scores.values if who != self.reference]
        return [self._enter(who, [self.reference]) for who in others] if self.reference else []

    @cached_property
    def pairs(self) -> list[Entry]:
        """Of three contestants or more an entry per pair, the better mean first; `p_value` is adjusted (Holm)."""
        pairs = list(itertools.combinations(self.ranking, 2)) if len(self.scores.values) > 2 else []
        compared = [self._compare(who, other) for who, other in pairs]
        chances = adjust([p_value(own.estimate) if own.estimate.is_enough else 1.0 for own in compared])
        entries = []
        for (who, other), comparison, chance in zip(pairs, compared, chances, strict=True):
            finding = self._judge(who, [other])
            if chance > ERROR:
                is_tie = comparison.is_equivalent(ERROR / len(pairs))
                needed = None if is_tie else comparison.estimate.seeds_needed(1 - ERROR / len(pairs))
                finding = replace(finding, verdict=NO_DIFFERENCE if is_tie else INCONCLUSIVE, seeds_needed=needed)
            entries.append(self._enter(who, [other], finding) | {"p_value": float(f"{chance:.6g}")})
        return entries

    @cached_property
    def best(self) -> Entry:
        """The contestant with the best mean is better than every other."""
        return self._enter(self.ranking[0], self.ranking[1:])

    @property
    def close(self) -> list[str]:
        """The contestants that are not clearly worse than the best."""
        best, *others = self.ranking
        rivals, level = {other: self._compare(best, other) for other in others}, 1 - ERROR / len(others)
        return [who for who, rival in rivals.items() if not rival.estimate.is_enough or rival.ends(level)[0] <= 0]

    @property
    def table(self) -> pd.DataFrame:
        """A row per statement: against the reference, otherwise all pairs."""
        names = ["statement", "verdict", "estimate", "ci_low", "ci_high", "win_rate", "n", "seeds_needed", "note"]
        return pd.DataFrame(self.against or self.pairs)[names]

    @property
    def means(self) -> pd.DataFrame:
        """A row per contestant, the best first: runs, mean and sd (n - 1); NaN if a value is missing."""
        values = self.scores.values
        rows = [(len(own), own.mean(skipna=False), own.std(ddof=1, skipna=False)) for own in values.values()]
        table = pd.DataFrame(rows, [*values], ["runs", "mean", "sd"])
        return table.sort_values("mean", ascending=self.side < 0)

    @property
    def ranking(self) -> list[str]:
        """The contestants without missing values, the best mean first."""
        means = {who: self.side * own.mean() for who, own in self.scores.values.items() if own.notna().all()}
        return sorted(means, key=means.get, reverse=True)

    @property
    def gaps(self) -> list[str]:
        """What contestants lack: finite values, and repetitions of the others."""
        values = self.scores.values
        lacking = list(filter(None, map(self._missing, values)))
        shared = set.intersection(*(set(own.index) for own in values.values()))
        if self.scores.repetition and any(len(own) > len(shared) for own in values.values()):
            lacking.append(f"{len(shared)} repetitions are common to all contestants; a pair uses those that both have")
        return lacking

    def _missing(self, who: str) -> str:
        """Return how many values a contestant lacks; an empty string if none."""
        own = self.scores.values[who]
        text = f"{who} has no finite value in {own.isna().sum()} of {len(own)} runs: no verdict on it"
        return text if own.isna().any() else ""

    def _compare(self, who: str, other: str) -> Comparison:
        estimate, how = estimate_difference(self.scores.values[who], self.scores.values[other], self.folds)
        return Comparison(f"{who} - {other}: {self.scores.metric}, {how}", estimate, self.side, "", self.margin)

    def _judge(self, who: str, others: Sequence[str]) -> Finding:
        """Judge that a contestant is better than each of the others; missing values leave it open."""
        if gaps := list(filter(None, map(self._missing, (who, *others)))):
            return Finding(INCONCLUSIVE, note="; ".join(gaps))
        finding = judge([self._compare(who, other) for other in others])
        values = finding.deciding.estimate.by_seed
        is_constant = len(values) > 1 and len({*values}) == 1
        return finding.with_note("all differences are equal: are these repetitions?" if is_constant else "")

    def _enter(self, who: str, others: Sequence[str], finding: Finding | None = None) -> Entry:
        statement = f"{who} is better than {others[0] if len(others) == 1 else 'every other'}"
        about = (statement, "overall", statement, (who, *others), f"difference of {self.scores.metric}")
        claim = Claim(*about, DIRECTIONS[self.side], RULE, evaluate=lambda study: finding)
        return describe_claim(claim, finding or self._judge(who, others))


def judge_runs(
    source: str,
    *,
    experiment: str | None = None,
    contestant: Sequence[str] = (),
    repetition: Sequence[str] = (),
    metric: str | None = None,
    reference: str | None = None,
    margin: float | None = None,
    lower_is_better: bool | None = None,
    folds: int | None = None,
) -> Judgement:
    """Judge the runs of a source; what is not given is guessed, and told in `notes`.

    Parameters
    ----------
    source, experiment : as in `read_runs`
    contestant, repetition : columns whose values, together, name the contestant and the repetition of a run
    metric : column with the values to compare
    reference : the contestant that the others are compared with
    margin : differences of at most this size are not relevant; None: every difference is
    lower_is_better : None: whether the metric's name says so ("loss")
    folds : number of folds if repetitions are those of one cross-validation, or of several of the same data; 0: they
        are independent; None: as many as a column called fold has

    Raises a UserError if something is missing, not clear, or not a number.
    """
    if folds is not None and (folds < 0 or folds == 1):
        raise UserError(f"--folds {folds}: allowed: 2 or more, or 0 for repetitions that are independent")
    runs = read_runs(source, experiment)
    notes = [*runs.left_out]
    scores = choose_scores(runs, contestant, repetition, metric, notes)
    if lower_is_better is None:
        lower_is_better = scores.is_loss
        notes.append(f"guessed from its name: of {scores.metric}, {'lower' if lower_is_better else 'higher'} is better")
    if folds is None and scores.folds:
        notes.append(
            f"guessed: --folds {scores.folds}, which share data, so intervals are wider (--folds 0: they do not)"
        )
    folds = scores.folds if folds is None else folds
    reference = _find_reference(reference, [*scores.values], notes)
    judgement = Judgement(runs, scores, -1 if lower_is_better else 1, margin, folds, reference, notes)
    if len(judgement.ranking) < 2:
        lacking = f"a comparison needs two contestants, and there is {', '.join(scores.values)}"
        raise UserError("; ".join([lacking, *judgement.gaps]))
    notes += judgement.gaps
    return judgement


def _find_reference(wanted: str | None, names: list[str], notes: list[str]) -> str | None:
    """Return the reference: the one wanted, the only one with such a name, or the first of two; otherwise None."""
    if wanted is not None and wanted not in names:
        raise UserError(f"--reference {wanted}: no such contestant; there are: {', '.join(names)}")
    named = [who for who in names if REFERENCES & {*words(who)}]
    if wanted is None and (len(named) == 1 or len(names) == 2):
        wanted = named[0] if len(named) == 1 else names[0]
        notes.append(f"guessed: --reference {wanted}")
    return wanted
