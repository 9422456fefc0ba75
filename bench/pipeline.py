"""The pipeline as a user runs it: shares of the wall time, growth with data, cost of `dvc repro` without work."""

import json
import os
import pstats
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml

from fitgap.data.record import read_result

REPOSITORY = Path(__file__).parent.parent
MANY = 50  # variants
COUNTS = (2_500, 10_000, 40_000)  # images
FAMILIES = ("scratch", "head")  # stages with one model per variant
OF_NOTHING = {  # DVC's functions that take most of the time with nothing to do; none calls another
    "read": ("dvc/repo/index.py", "from_repo"),
    "params": ("dvc/dependency/param.py", "status"),
    "files": ("dvc/output.py", "status"),
    "locks": ("dvc/rwlock.py", "rwlock"),
}


@dataclass(frozen=True)
class Copy:
    """A clone of the repository, with its own DVC cache and MLflow store."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables: this Python first on the PATH, and no DVC, MLflow or Git settings from outside."""
        given = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_", "GIT_"))}
        return {**given, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}"}

    @property
    def weights(self) -> Path:
        """Path of VGG16's weights; exists after the pipeline has run."""
        return self.path / "data/backbone/vgg16_notop.weights.h5"

    def run(self, *command: str) -> float:
        """Run a command; return its wall time in seconds."""
        begin = time.perf_counter()
        ended = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            sys.exit(f"bench: {' '.join(command)}: exit status {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        return time.perf_counter() - begin

    def measure(self, *command: str) -> dict[str, float]:
        """Run a command; return its wall time and CPU time in seconds, and its peak memory in MB."""
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=self.path, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"bench: {' '.join(command)}: ended badly")
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "core_seconds": used.ru_utime + used.ru_stime,
            "megabytes": used.ru_maxrss / 1024,
        }

    @property
    def params(self) -> dict[str, Any]:
        """The content of params.yaml."""
        return yaml.safe_load((self.path / "params.yaml").read_text(encoding="utf-8"))

    def edit(self, **sections: dict[str, Any]) -> None:
        """Change keys of sections of params.yaml."""
        tree = self.params
        for section, keys in sections.items():
            tree[section] |= keys
        (self.path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")

    def timing(self, stage: str) -> dict[str, Any]:
        """Return a stage's wall times; `stage` is DVC's name, such as "features" or "head@l2"."""
        result = read_result(self.path / "results" / stage.replace("@", "/"))
        return json.loads((self.path / "timings" / f"{result.fingerprint}.json").read_text(encoding="utf-8"))

    def timings(self) -> pd.DataFrame:
        """Return the wall times of all stages run so far, one row per stage."""
        kept = [json.loads(file.read_text(encoding="utf-8")) for file in (self.path / "timings").glob("*.json")]
        return pd.DataFrame(kept).set_index("stage")


@contextmanager
def copied() -> Iterator[Copy]:
    """Clone the repository into a temporary folder."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(path)], check=True)
        yield Copy(path)


def side_by_side() -> dict[str, float]:
    """Measure the default pipeline as `make repro` runs it, in a separate clone."""
    with copied() as copy:
        return copy.measure(sys.executable, "-m", "fitgap.programs.scheduler")


def import_seconds(rounds: int) -> dict[str, float]:
    """Return the median seconds to import TensorFlow in a new process: like the stages, and with a plain import."""
    statements = {
        "stages": "from fitgap.definitions.determinism import start_tensorflow; start_tensorflow(0)",
        "plainly": "import tensorflow",
    }
    taken = [{name: _seconds_of(statement) for name, statement in statements.items()} for _ in range(rounds)]
    return pd.DataFrame(taken).median().to_dict()


def _seconds_of(statement: str) -> float:
    # Time inside the process and exit at once, like the stages: TensorFlow's shutdown must not count.
    code = f"import os, time; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin, flush=True)"
    command = [sys.executable, "-c", f"{code}; os._exit(0)"]
    return float(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout)


def shares(total: float, kept: pd.DataFrame, imports: float) -> dict[str, float]:
    """Split the pipeline's wall time: work, imports of TensorFlow, and everything else.

    `prepare` and `report` count as overhead, because they neither train nor extract features.
    """
    with_tensorflow = kept.drop(index=["prepare", "report"], errors="ignore")
    work, imported = float(with_tensorflow["work_seconds"].sum()), imports * len(with_tensorflow)
    return {"work": work, "imports": imported, "rest": total - work - imported}


def nothing_to_do(copy: Copy, rounds: int) -> float:
    """Return the median seconds of `dvc repro` if nothing has changed."""
    return statistics.median(copy.run("dvc", "repro") for _ in range(rounds))


def with_many_variants(copy: Copy, rounds: int) -> tuple[float, dict[str, float]]:
    """Return the seconds of `dvc repro` with nothing to do and MANY variants, and their shares (see `of_nothing`).

    New variants get copies of the baseline's outputs instead of being trained.
    """
    before = {name: (copy.path / name).read_bytes() for name in ("params.yaml", "dvc.lock")}
    new = [f"v{number}" for number in range(MANY - len(copy.params["variants"]))]
    copy.edit(variants={name: {"dropout": 0.1 + 0.01 * number} for number, name in enumerate(new)})
    folders = [copy.path / kind / family for kind in ("models", "results") for family in FAMILIES]
    for folder, name in product(folders, new):
        shutil.copytree(folder / "baseline", folder / name)
    copy.run("dvc", "commit", "--force")
    seconds, spent = nothing_to_do(copy, rounds), of_nothing(copy)
    for folder, name in product(folders, new):
        shutil.rmtree(folder / name)
    for name, content in before.items():
        (copy.path / name).write_bytes(content)
    return seconds, spent


def of_nothing(copy: Copy) -> dict[str, float]:
    """Profile `dvc repro` with nothing to do; return the shares of DVC's start and of OF_NOTHING."""
    with TemporaryDirectory() as folder:
        copy.run(sys.executable, "-m", "cProfile", "-o", f"{folder}/profile", "-m", "dvc", "repro")
        profile = pstats.Stats(f"{folder}/profile")
    found = {name: _share(profile, *of) for name, of in OF_NOTHING.items()}
    return {"start": 1 - _share(profile, "dvc/repo/reproduce.py", "reproduce"), **found}


def _share(profile: pstats.Stats, file: str, function: str) -> float:
    """Return a function's share of the total time, including the functions it calls."""
    taken = [
        numbers[3] for (path, _, name), numbers in profile.stats.items() if path.endswith(file) and name == function
    ]
    return sum(taken) / profile.total_tt


def growth(copy: Copy) -> pd.DataFrame:
    """Measure `prepare`, `features` and a head on growing numbers of printed characters.

    Returns
    -------
    DataFrame
        Columns images, stage, seconds, megabytes.
    """
    rows = []
    for count in COUNTS:
        pictures = copy.path / "pictures"
        shutil.rmtree(pictures, ignore_errors=True)
        _draw(pictures, count)
        splits = {"train_images": count * 8 // 10, "validation_images": count // 10, "test_images": "all"}
        copy.edit(data={"source": "directory", "path": "pictures", **splits}, head={"epochs": 2})
        for stage in (["prepare"], ["features"], ["head", "baseline"]):
            measured = copy.measure(sys.executable, "-m", f"stages.{stage[0]}", *stage[1:])
            rows.append({"images": count, "stage": "@".join(stage), **measured})
    return pd.DataFrame(rows)


def _draw(folder: Path, count: int) -> None:
    from PIL import Image

    from fitgap.backbone import glyphs

    images, labels = glyphs.render(count, 32, seed=count)
    for name in glyphs.CLASS_NAMES:
        (folder / name).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / glyphs.CLASS_NAMES[label] / f"{number}.png")
