"""The scheduler on stages without work: what DVC and the scheduler cost, and how that grows with the stages."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.pipeline import REPOSITORY, Copy

COUNTS = (50, 200)  # stages
PLACES = (2, 8, 16)  # stages at once
SCHEDULER = "from fitgap.programs import scheduler; scheduler.main(at_once={})"
REPRO = ("dvc", "repro")


@dataclass(frozen=True)
class Trivial(Copy):
    """A pipeline of stages that write one line each."""

    @property
    def environment(self) -> dict[str, str]:
        """As for a clone; the code is the repository's own, and DVC sends no usage statistics, as in a clone."""
        return {**super().environment, "PYTHONPATH": str(REPOSITORY), "DVC_NO_ANALYTICS": "1"}

    def forget(self) -> None:
        """Remove all that the stages have left, so that all of them have to run."""
        for path in (*self.path.glob("*.txt"), self.path / "dvc.lock"):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.path / ".dvc/cache", ignore_errors=True)


def write(folder: Path, count: int) -> Trivial:
    """Write a pipeline: the first stage, `count` - 2 that need it, and the last, which needs all of them."""
    needs: dict[str, list[str]] = {"first": []}
    needs |= {f"stage-{number}": ["first"] for number in range(count - 2)}
    needs["last"] = list(needs)[1:]
    stages = {
        name: {"cmd": f"echo {name} > {name}.txt", "deps": [f"{each}.txt" for each in needed], "outs": [f"{name}.txt"]}
        for name, needed in needs.items()
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False), encoding="utf-8")
    shutil.copy(REPOSITORY / "params.yaml", folder)
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=folder, env=Trivial(folder).environment, check=True)
    return Trivial(folder)


def growth() -> list[dict[str, float]]:
    """Measure pipelines of COUNTS stages.

    Returns
    -------
    One row per pipeline: `stages`, and the seconds of `dvc repro` (`repro`) and of the scheduler with so many stages
    at once (`at_once_2`, ...), with all stages to run and with nothing to do (`repro_nothing`, `nothing`).
    """
    return [_row(count) for count in COUNTS]


def _row(count: int) -> dict[str, float]:
    commands = {"repro": REPRO} | {
        f"at_once_{places}": (sys.executable, "-c", SCHEDULER.format(places)) for places in PLACES
    }
    row: dict[str, float] = {"stages": count}
    with TemporaryDirectory() as folder:
        pipeline = write(Path(folder), count)
        for name, command in commands.items():
            pipeline.forget()
            row[name] = pipeline.run(*command)
        row["repro_nothing"] = pipeline.run(*REPRO)
        row["nothing"] = pipeline.run(sys.executable, "-c", SCHEDULER.format(min(PLACES)))
    return row
