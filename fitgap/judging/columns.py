"""Choose the columns that say which contestant, which repetition and which measurement; guesses are told."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fitgap.judging.runs import PARENT, RUN, STATUS, Runs
from fitgap.system.errors import UserError

REPETITIONS = {"seed", "fold", "split", "repetition", "repeat", "replicate", "random_state"}
CONTESTANTS = "contestant model variant method algorithm architecture estimator classifier name".split()
LOSSES = {"loss", "error", "err", "rmse", "mse", "mae", "nll", "perplexity", "gap", "regret", "seconds", "time"}
UNIQUE = 0.7  # share of runs that are the only ones of their contestant and repetition, for a guess
SHOWN = 8  # names in an error


@dataclass(frozen=True)
class Scores:
    """Values to compare, and the columns that they are from."""

    values: dict[str, pd.Series]  # contestant -> float by repetition; NaN where a run has no finite value
    metric: str
    contestant: list[str]
    repetition: list[str]  # empty: nothing pairs the runs
    runs: dict[str, list[str]]  # contestant -> ids of MLflow's runs: its parents, or its own

    @property
    def is_loss(self) -> bool:
        """Whether the measurement's name says that lower is better."""
        return bool(LOSSES & {*words(self.metric)})

    @property
    def folds(self) -> int:
        """How many folds the repetitions' columns tell; 0 if none does."""
        at = next((at for at, name in enumerate(self.repetition) if _last(name) == "fold"), None)
        return 0 if at is None else len({key.split("/")[at] for own in self.values.values() for key in own.index})


def words(name: str) -> list[str]:
    """Return the words of a name: params.model_name -> params, model, name."""
    return re.split(r"[^a-z0-9]+", name.lower())


def _last(name: str) -> str:
    return name.lower().rpartition(".")[2]


def choose_scores(
    runs: Runs, contestant: Sequence[str], repetition: Sequence[str], metric: str | None, notes: list[str]
) -> Scores:
    """Return the values in the columns given; those not given are guessed. `notes` gets what is guessed and left out.

    Raises a UserError if a column is missing, if a guess is not clear, or if a value is no number.
    """
    table, again = runs.table, [_resolve(name, runs.table, "--repetition") for name in repetition]
    if not contestant and not metric and (wide := _wide_columns(table, again)):
        again = [name for name in table if name not in wide] or ["row"]
        table = table.assign(row=[str(row) for row in range(1, len(table) + 1)])
        table, metric = table.melt(again, wide, "contestant", "value"), "value"
        notes.append(f"guessed: the contestants are the columns {_listed(wide)}")
    again = again or _guess_repetition(table, notes)
    metric = metric and _resolve(metric, table, "--metric")
    who = [_resolve(name, table, "--contestant") for name in contestant]
    who = who or _guess_contestant(table, again, metric, notes)
    metric = metric or _guess_metric(table, {*who, *again}, notes)
    table = _complete(table, who, again, metric, notes)
    table = table.assign(who=table[who].agg("@".join, axis="columns"), again=[str(row) for row in range(len(table))])
    if again:
        table = _without_repeats(table.assign(again=table[again].agg("/".join, axis="columns")), notes)
    groups = table.groupby("who", sort=False)
    ids = {name: sorted({*own[PARENT].fillna(own[RUN])}) for name, own in groups} if RUN in table else {}
    return Scores({name: _numbers(own, metric) for name, own in groups}, metric, who, again, ids)


def _resolve(name: str, table: pd.DataFrame, option: str) -> str:
    """Return the column of this name, with or without its metrics., params. or tags. in front."""
    fitting = [column for column in table if column == name] or [own for own in table if own.endswith(f".{name}")]
    if len(fitting) == 1:
        return fitting[0]
    kinds = ("metrics.",) if option == "--metric" else ("params.", "tags.")
    there = fitting or [column for column in table if column.startswith(kinds)] or table
    raise UserError(f"{option} {name}: {'several' if fitting else 'no'} such column; there are: {_listed(there)}")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _as_numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype(float)


def _wide_columns(table: pd.DataFrame, repetition: Sequence[str]) -> list[str]:
    """Return the columns of contestants, if all others but repetitions are numbers, and each repetition has one row."""
    again = [*repetition] or [name for name in table if _last(name) in REPETITIONS]
    own = [name for name in table if name not in again]
    is_wide = len(own) > 1 and all(_as_numbers(table[name]).notna().any() for name in own)
    is_long = table.duplicated(again).any() if again else any(_can_name(table, name, []) for name in own)
    return own if is_wide and not is_long else []


def _guess_repetition(table: pd.DataFrame, notes: list[str]) -> list[str]:
    """Return the columns whose name says that they tell repetitions apart; of equal ones the first."""
    named = [name for name in table if _last(name) in REPETITIONS and table[name].nunique() > 1]
    named = [name for at, name in enumerate(named) if not any(table[name].equals(table[own]) for own in named[:at])]
    notes.append(f"guessed: --repetition {' --repetition '.join(named)}" if named else "no column tells repetitions")
    return named


def _can_name(table: pd.DataFrame, column: str, repetition: Sequence[str]) -> bool:
    """Whether a column may be the contestants: few values, each with several runs, one run for each repetition."""
    rows = table[table[column].notna()]
    if not 2 <= rows[column].nunique() <= len(rows) / 2:
        return False
    return not repetition or len(rows[[column, *repetition]].drop_duplicates()) >= UNIQUE * len(rows)


def _guess_contestant(table: pd.DataFrame, repetition: list[str], metric: str | None, notes: list[str]) -> list[str]:
    names = [name for name in table if name not in (metric, *repetition, RUN, PARENT, STATUS)]
    able = [name for name in names if not name.startswith("metrics.") and _can_name(table, name, repetition)]
    named = [name for word in CONTESTANTS for name in able if word in words(name)]
    if not named and len({tuple(pd.factorize(table[name])[0]) for name in able}) != 1:  # they group runs differently
        raise UserError(f"--contestant: name the column that tells contestants apart: {_listed(able or names)}")
    notes.append(f"guessed: --contestant {(named or able)[0]}")
    return (named or able)[:1]


def _guess_metric(table: pd.DataFrame, others: set[str], notes: list[str]) -> str:
    names = [name for name in table if name not in others and _as_numbers(table[name]).notna().any()]
    names = [name for name in names if name.startswith("metrics.")] or names
    if len(names) != 1:
        raise UserError(f"--metric: name the measurement to compare: {_listed(names) or 'no column has numbers'}")
    notes.append(f"guessed: --metric {names[0]}")
    return names[0]


def _complete(table: pd.DataFrame, who: list[str], again: list[str], metric: str, notes: list[str]) -> pd.DataFrame:
    """Leave out runs without contestant or repetition, contestants never measured, and parents of measured runs."""
    own = table[table[[*who, *again]].notna().all(axis="columns")]
    measured = own[own[metric].notna()]
    own = own[own.set_index(who).index.isin(measured.set_index(who).index)]
    parents = own[RUN].isin(measured[PARENT].dropna()) if RUN in own else pd.Series(False, own.index)
    needed = ", ".join([*who, *again, metric])
    for count, what in ((len(table) - len(own), f"runs without {needed}"), (parents.sum(), "parents of other runs")):
        notes += [f"left out: {count} {what}"] if count else []
    if parents.all():
        raise UserError(f"no run has {needed}; there are: {_listed(table)}")
    return own[~parents]


def _without_repeats(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Return one run for each contestant and repetition: the latest, or the last row."""
    double = table[table.duplicated(["who", "again"])]
    for who, again in double[["who", "again"]].head(1).to_numpy():
        notes.append(f"left out: {len(double)} runs repeat a repetition, the first: {who}, {again}; the last counts")
    return table.drop_duplicates(["who", "again"], keep="last")


def _numbers(own: pd.DataFrame, metric: str) -> pd.Series:
    """Return a contestant's values by repetition; what is not finite becomes NaN."""
    numbers = _as_numbers(own[metric])
    wrong = own[numbers.isna() & own[metric].notna() & ~own[metric].str.lower().isin(["nan", "none", "null", "n/a"])]
    if len(wrong):
        value, who, again = wrong[[metric, "who", "again"]].iloc[0]
        raise UserError(f"{metric}: {value!r} ({who}, {again}) is no number; write numbers, or leave the cell empty")
    return pd.Series(numbers.replace([np.inf, -np.inf], np.nan).to_numpy(), own["again"].to_numpy())
