"""Measure contestants in turn, round after round, so that noise of the machine affects all of them alike."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

import pandas as pd
from tqdm import tqdm

OURS = "fitgap"
REST = 0.3  # seconds between two passes: thread pools spin for a while after their work
Pass = Callable[[], dict[str, Any]]  # runs once and returns its measurements: "seconds", and perhaps others
Make = Callable[[], Pass]  # imports, warms up and returns a pass
Rows = list[dict[str, Any]]  # one per round and contestant: "round", "contestant" and the measurements

_pass: Pass


def timed(work: Callable[[], Any], describe: Callable[[Any], dict[str, Any]]) -> Pass:
    """Do the work once to warm up; return passes with its seconds and what `describe` makes of its result."""

    def once() -> dict[str, Any]:
        begin = time.perf_counter()
        result = work()
        return {"seconds": time.perf_counter() - begin, **describe(result)}

    once()
    return once


def race(contestants: Mapping[str, Make], rounds: int, title: str) -> Rows:
    """Measure all contestants once per round, each in its own process, starting with another one each time."""
    names, rows = list(contestants), []
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_process()) for name in names}
        for name in names:  # one at a time: start-up is heavy work too
            workers[name].submit(_begin, contestants[name]).result()
        for number in tqdm(range(rounds), desc=title, unit="round"):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                time.sleep(REST)
                rows.append({"round": number, "contestant": name, **workers[name].submit(_run).result()})
    return rows


def apart(function: Callable, *arguments):
    """Call a function in a separate process and return its result."""
    with _process() as process:
        return process.submit(function, *arguments).result()


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _begin(make: Make) -> None:
    global _pass
    _pass = make()


def _run() -> dict[str, Any]:
    return _pass()


def medians(rows: Rows) -> dict[str, float]:
    """Return each contestant's median seconds, in the order of the first round."""
    return pd.DataFrame(rows).groupby("contestant", sort=False)["seconds"].median().to_dict()


def times_as_fast(rows: Rows, other: str) -> tuple[float, float, float]:
    """Return the median, the smallest and the largest ratio of `other`'s seconds to fitgap's within a round."""
    seconds = pd.DataFrame(rows).pivot(index="round", columns="contestant", values="seconds")
    ratios = seconds[other] / seconds[OURS]
    return float(ratios.median()), float(ratios.min()), float(ratios.max())
