"""Measure contestants in turn, round after round, so that noise of the machine affects all of them alike."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pandas as pd
from tqdm import tqdm

Pass = Callable[[], dict[str, float]]
REST = 0.3  # seconds between two passes: thread pools spin for a while after their work

_measure: Pass


@dataclass(frozen=True)
class Contestant:
    """An implementation to measure, in its own process.

    Attributes
    ----------
    name : shown in tables
    make : warms up and returns a function that runs one pass and returns its measurements, such as
        {"images_per_second": 700.0}
    environment : environment variables of the process
    """

    name: str
    make: Callable[[], Pass]
    environment: tuple[tuple[str, str], ...] = ()


def race(contestants: Iterable[Contestant], rounds: int, title: str, heats: int = 1) -> pd.DataFrame:
    """Measure all contestants once per round, starting with a different one each time.

    Parameters
    ----------
    heats : number of sets of processes to spread the rounds over. Identical processes may differ in speed by some
        percent throughout; smaller differences need more than one set.

    Returns
    -------
    DataFrame
        One row per round and contestant: columns `round`, `contestant`, and the passes' measurements.
    """
    contestants = list(contestants)
    shares = [range(rounds)[heat::heats] for heat in range(heats)]
    return pd.DataFrame([row for numbers in shares for row in _heat(contestants, numbers, title)])


def _heat(contestants: list[Contestant], numbers: Iterable[int], title: str) -> list[dict]:
    rows = []
    with ExitStack() as stack:
        workers = {one.name: stack.enter_context(_process(one)) for one in contestants}
        for name, worker in workers.items():  # one at a time: start-up is heavy work too
            worker.submit(os.getpid).result()
            tqdm.write(f"{title}: {name} is ready")
        for number in tqdm(numbers, desc=title, unit="round", disable=None):
            first = number % len(contestants)
            for one in contestants[first:] + contestants[:first]:
                time.sleep(REST)
                measured = workers[one.name].submit(_run).result()
                rows.append({"round": number, "contestant": one.name, **measured})
    return rows


def _process(one: Contestant) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, _begin, (one.make, one.environment))


def apart(function: Callable, *arguments):
    """Call a function in a separate process and return its result."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def _begin(make: Callable[[], Pass], environment: tuple[tuple[str, str], ...]) -> None:
    global _measure
    os.environ.update(environment)
    _measure = make()


def _run() -> dict[str, float]:
    return _measure()


def medians(measured: pd.DataFrame, column: str) -> pd.Series:
    """Return each contestant's median over the rounds, in order of first appearance."""
    return measured.groupby("contestant", sort=False)[column].median()


def ratio(measured: pd.DataFrame, column: str, above: str, below: str) -> float:
    """Return the median over rounds of `above` / `below`, two contestants' numbers in the same round."""
    by_round = measured.pivot(index="round", columns="contestant", values=column)
    return float((by_round[above] / by_round[below]).median())


def extremes(measured: pd.DataFrame, column: str, above: str, below: str) -> tuple[float, float]:
    """Return the smallest and the largest of the ratios whose median `ratio` returns."""
    by_round = measured.pivot(index="round", columns="contestant", values=column)
    ratios = by_round[above] / by_round[below]
    return float(ratios.min()), float(ratios.max())
