"""Measure wall times, and store them per result outside of DVC's outputs.

A time inside an output would change its hash at every run. Times are stored in timings/<fingerprint of the result>.json
instead: a result that DVC restores keeps them; a result pulled from another machine has none.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitgap.data.record import Result
from fitgap.system import repository
from fitgap.system.processor import describe_processor

# Environment variable set by `fitgap.programs.scheduler`: how many stages run in parallel, if more than one.
STAGES_AT_ONCE = "FITGAP_STAGES_AT_ONCE"


@dataclass
class Clock:
    """Measure the wall time of a stage, in seconds."""

    begin: float = field(default_factory=time.perf_counter)
    start_seconds: float = 0.0  # of the processor, until the work starts: mostly imports
    work_seconds: float = 0.0  # the main work: training and evaluation, or a pass of the frozen base

    @contextmanager
    def working(self) -> Iterator[None]:
        """Measure this block as the stage's work, or as a part of it."""
        begin = time.perf_counter()
        self.start_seconds = self.start_seconds or time.process_time()
        try:
            yield
        finally:
            self.work_seconds += time.perf_counter() - begin

    @property
    def spent(self) -> dict[str, float]:
        """All times so far, in the form that `save` takes."""
        seconds = time.perf_counter() - self.begin
        return {"stage_seconds": seconds, "start_seconds": self.start_seconds, "work_seconds": self.work_seconds}


def save(
    result: Result,
    spent: Mapping[str, float],
    seed_seconds: Mapping[int, float] | None = None,
    processors: Iterable[str] = (),
    **rates: float,
) -> None:
    """Write the times of a result to the timings folder.

    Parameters
    ----------
    spent : `Clock.spent`, in seconds
    seed_seconds : seed -> seconds of its training
    processors : what computed each seed, or each part of the images; by default this machine's
    rates : speeds such as `images_per_second`
    """
    entry = {
        "stage": result.name,
        **{name: round(seconds, 3) for name, seconds in spent.items()},
        "seed_seconds": {str(seed): round(seconds, 3) for seed, seconds in (seed_seconds or {}).items()},
        "rates": rates,
        "processors": dict(Counter(processors) or {describe_processor(): 1}),
        "stages_at_once": int(os.environ.get(STAGES_AT_ONCE, "1")),
    }
    path = path_of(result)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)  # atomic: a kill leaves no incomplete file


def load(result: Result) -> dict[str, Any] | None:
    """Return what `save` wrote for this result, or None if it was computed on another machine."""
    path = path_of(result)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def path_of(result: Result) -> Path:
    """Return the file of a result's times; in a copy made by DVC, in the real repository."""
    return repository.root() / "timings" / f"{result.fingerprint}.json"
