"""Show the progress of long work: a bar on a terminal, a line now and then in a file or a CI log."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import IO

from tqdm import tqdm

EVERY_VARIABLE = "FITGAP_PROGRESS_EVERY"  # seconds between two lines in a file; shorter work writes none
EVERY = float(os.environ.get(EVERY_VARIABLE, "60"))
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}{postfix}, {remaining} left"


class Progress(tqdm):
    """A tqdm bar. If standard error is not a terminal, each update is a line of its own.

    Takes tqdm's arguments.
    """

    def __init__(self, *args, **options):
        if not sys.stderr.isatty():
            options |= {"mininterval": EVERY, "delay": EVERY, "miniters": 1, "bar_format": LINE}
        super().__init__(*args, **options)

    def moveto(self, n: int) -> None:
        """Move the cursor to the line of the n-th bar, which only a terminal can do."""
        if self.fp.isatty():
            super().moveto(n)

    def close(self) -> None:
        """End the bar; in a file without a last line, since a stage's end has a line of its own."""
        self.disable = self.disable or not self.fp.isatty()
        super().close()

    @staticmethod
    def status_printer(file: IO[str]) -> Callable[[str], None]:
        """Return the function that writes the bar, which tqdm calls at each update."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda text: print(text, file=file, flush=True)


class TrainingProgress:
    """The progress of one model over its seeds.

    Parameters
    ----------
    name : of the model, such as scratch@dropout
    seeds, epochs : the seeds that are trained, and for how many epochs each
    on_epoch : is called with each row and its `seed`
    """

    def __init__(self, name: str, seeds: list[int], epochs: int, on_epoch: Callable[[Mapping[str, float]], None]):
        self._seeds, self._epochs, self._on_epoch = seeds, epochs, on_epoch
        self._ended = 0
        self._bar = Progress(desc=name, total=len(seeds) * epochs, unit="epochs")

    def add_epoch(self, row: Mapping[str, float]) -> None:
        """Count an epoch and show its losses; `row` is its row of the history."""
        losses = f"training loss {row['train_loss']:.3f}, validation loss {row['val_loss']:.3f}"
        gap = f"gap {row['val_loss'] - row['train_loss']:+.3f}"
        self._bar.set_postfix_str(f"seed {self._ended + 1} of {len(self._seeds)}, {losses}, {gap}", refresh=False)
        self._bar.update(self._ended * self._epochs + row["epoch"] - self._bar.n)
        self._on_epoch({**row, "seed": self._seeds[self._ended]})

    def end_seed(self) -> None:
        """Count a seed as a whole, also if its training was read from a checkpoint; close after the last one."""
        self._ended += 1
        self._bar.update(self._ended * self._epochs - self._bar.n)
        if self._ended == len(self._seeds):
            self._bar.close()
