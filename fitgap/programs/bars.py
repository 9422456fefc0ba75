"""Bars on a terminal: how far a run is, and each of its running stages. Elsewhere nothing is drawn.

By rich, which DVC needs too: it draws several bars that come and go, and prints lines above them. tqdm, which shows the
progress of a single stage, cannot take a bar away in the middle.
"""

import re
import sys

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

COUNTED = re.compile(r"(?:.*?: )?(\d+) of (\d+) .+ left")  # a line of `system.progress`
LINE = TextColumn("{task.fields[line]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))


class Bars:
    """The bar of a run of so many stages, and one below it for each stage that is running."""

    def __init__(self, stages: int):
        columns = TextColumn("{task.description}"), BarColumn(20), LINE
        self._bars = Progress(*columns, disable=not sys.stdout.isatty(), expand=True, transient=True)
        self._run = self._bars.add_task("stages", total=stages, line=f"0 of {stages}")
        self._tasks: dict[str, TaskID] = {}
        self._stages = stages

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, name: str) -> None:
        """Add the bar of a stage; without a number it moves to and fro."""
        self._tasks[name] = self._bars.add_task(name, total=None, line="")

    def update(self, name: str, line: str) -> bool:
        """Show a line beside the bar of its stage if it counts something; return whether it did."""
        counted = None if self._bars.disable else COUNTED.fullmatch(line)
        if counted:
            self._bars.update(self._tasks[name], completed=int(counted[1]), total=int(counted[2]), line=line)
        return counted is not None

    def end(self, name: str) -> None:
        """Take the bar of a stage away, and count the stage."""
        self._bars.remove_task(self._tasks.pop(name))
        ended = int(self._bars.tasks[0].completed) + 1
        self._bars.update(self._run, completed=ended, line=f"{ended} of {self._stages}")
