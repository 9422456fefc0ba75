"""Show the progress of long work: a bar on a terminal, a line now and then in a file or a CI log."""

import sys
from collections.abc import Callable
from typing import IO

from tqdm import tqdm

EVERY = 30  # seconds between two lines in a file; shorter work writes none
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

    @staticmethod
    def status_printer(file: IO[str]) -> Callable[[str], None]:
        """Return the function that writes the bar, which tqdm calls at each update."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda text: print(text, file=file, flush=True)
