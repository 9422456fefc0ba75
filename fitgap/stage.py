"""What every stage does the same: start, tell a mistake in one line, and stop with the right status."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fitgap import timings
from fitgap.errors import UserError
from fitgap.folders import fresh
from fitgap.results import Result
from fitgap.tracking import runs


def run(main: Callable[..., None]) -> None:
    """Run a stage's `main` with the command line's arguments, and end the process.

    A mistake the user can mend is one line on standard error and exit status 1, without a traceback.
    """
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"fitgap: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Taking TensorFlow apart object by object would need two seconds more per stage.
    os._exit(0)


@dataclass
class Clock:
    """Wall time since it was made."""

    begin: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.begin


def leave(result: Result, folder: Path, clock: Clock, **rates: float) -> None:
    """Write a result, keep its wall time and rates (such as images_per_second), and give it its run in MLflow."""
    with fresh(folder) as made:
        result.write(made)
    timings.keep(result, clock.seconds, **rates)
    runs.log(result)
