"""Wall times: measured, kept per result, and kept out of DVC's outputs.

The same computation takes another time at every run, so a time inside an output would change its hash. Times
stand in timings/<fingerprint of the result>.json instead: a result that DVC restores finds its time again, and
a result pulled from another machine has none.
"""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from fitgap.pipeline.record import Result
from fitgap.system import repository

# An environment variable: how many stages run at once, where it is more than one (`fitgap.programs.scheduler`).
STAGES_AT_ONCE = "FITGAP_STAGES_AT_ONCE"


def process_seconds() -> float:
    """Give the seconds since this process was started, before Python itself was up."""
    started = psutil.Process().create_time()
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux counts from its boot, which psutil knows in whole seconds only
        return time.clock_gettime(time.CLOCK_BOOTTIME) - (started - psutil.boot_time())
    return time.time() - started


@dataclass
class Clock:
    """Where a stage's wall time goes.

    Attributes
    ----------
    begin : of `time.perf_counter()`: when it was made
    start_seconds : from the start of the process, imports included, to the work
    work_seconds : what the stage is there for: training with its evaluation, a pass of the frozen base
    """

    begin: float = field(default_factory=time.perf_counter)
    start_seconds: float = 0.0
    work_seconds: float = 0.0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what happens meanwhile as the stage's work."""
        begin = time.perf_counter()
        self.start_seconds = process_seconds()
        try:
            yield
        finally:
            self.work_seconds = time.perf_counter() - begin

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.begin

    @property
    def spent(self) -> dict[str, float]:
        """All that is known so far, as `keep` takes it."""
        return {
            "stage_seconds": self.seconds,
            "start_seconds": self.start_seconds,
            "work_seconds": self.work_seconds,
        }


def folder() -> Path:
    """Give the folder of the times: that of the real repository when DVC runs a stage in a copy of it."""
    return repository.root() / "timings"


def save(
    result: Result, spent: Mapping[str, float], seed_seconds: dict[int, float] | None = None, **rates: float
) -> None:
    """Keep what a `Clock` says of the stage, how long each seed's training took, and rates such as images/s."""
    folder().mkdir(exist_ok=True)
    seeds = {str(seed): round(seconds, 3) for seed, seconds in (seed_seconds or {}).items()}
    entry = {
        "stage": result.name,
        **{name: round(seconds, 3) for name, seconds in spent.items()},
        "seed_seconds": seeds,
        "rates": rates,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "stages_at_once": int(os.environ.get(STAGES_AT_ONCE, "1")),
    }
    path = folder() / f"{result.fingerprint}.json"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)  # whole or absent, whenever the process is killed


def load(result: Result) -> dict[str, Any] | None:
    """Give what `keep` kept for this result, or None where it was computed elsewhere."""
    path = folder() / f"{result.fingerprint}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
