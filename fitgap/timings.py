"""Wall times: measured, kept per result, and kept out of DVC's outputs.

The same computation takes another time at every run, so a time inside an output would change its hash. Times
stand in timings/<fingerprint of the result>.json instead: a result that DVC restores finds its time again, and
a result pulled from another machine has none.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

from fitgap import repository
from fitgap.results import Result


def folder() -> Path:
    """Give the folder of the times: that of the real repository when DVC runs a stage in a copy of it."""
    return repository.root() / "timings"


def keep(result: Result, stage_seconds: float, seed_seconds: dict[int, float] | None = None, **rates: float) -> None:
    """Keep how long the whole stage took, how long each seed's training took, and rates such as images/s."""
    folder().mkdir(exist_ok=True)
    seeds = {str(seed): round(seconds, 3) for seed, seconds in (seed_seconds or {}).items()}
    entry = {
        "stage": result.name,
        "stage_seconds": round(stage_seconds, 3),
        "seed_seconds": seeds,
        "rates": rates,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    path = folder() / f"{result.fingerprint}.json"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)  # whole or absent, whenever the process is killed


def of(result: Result) -> dict[str, Any] | None:
    """Give what `keep` kept for this result, or None where it was computed elsewhere."""
    path = folder() / f"{result.fingerprint}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
