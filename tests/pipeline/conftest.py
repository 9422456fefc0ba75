"""A clone of the repository with small params, and a real run of the pipeline in it, once for all tests.

Modules that change something do so on a copy, where their tests follow one another; `make test` keeps each module in
one process.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from fitgap.system.environment import without_strays

SMALL = {
    "seeds": [0, 1],
    "data.pool_images": 200,
    "data.train_images": 100,
    "data.validation_images": 100,
    "data.test_images": 200,
    "backbone.glyphs.images": 96,
    "features.layers": ["block4_pool", "block5_pool"],
    "scratch.epochs": 3,
    "scratch.learning_rate": 0.003,
    "scratch.trials": 2,
    "scratch.validation_freq": 1,
    "scratch.filters": [8, 16],
    "highrate.variants": ["baseline"],
    "head.epochs": 3,
    "head.learning_rate": 0.001,
    "head.validation_freq": 1,
    "finetune.epochs": 2,
    "finetune.validation_freq": 1,
    "finetune.learning_rate": 0.0002,
    "finetune.depths": ["block5"],
    "learning_curve.sizes": [20],
    "learning_curve.repetitions": 2,
    "variants": {"baseline": {}, "dropout": {"dropout": [0.3, 0.5]}},
}


@dataclass(frozen=True)
class Clone:
    """A repository of its own, with its own DVC cache and MLflow store; `variables` are for all that runs in it."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that put this very Python first on the PATH, and name no store but the clone's."""
        given = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_", "GIT_", "PYTHON"))}
        given = without_strays(given)
        path = f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}"
        return {**given, "PATH": path, **self.variables}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the clone."""
        ended = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def repro(self, *options: str) -> list[str]:
        """Run `dvc repro`; give the stages that ran, in order."""
        return stages_in(self.run("dvc", "repro", *options).stdout)

    def repro_side_by_side(self) -> list[str]:
        """Run the pipeline as `make repro` does; give the stages that ran, as they ended."""
        return stages_in(self.run(sys.executable, "-m", "fitgap.programs.scheduler").stdout)

    def edit(self, **changes: Any) -> None:
        """Change params; dots lead down."""
        path = self.path / "params.yaml"
        tree = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            *parents, last = key.split(".")
            section = tree
            for parent in parents:
                section = section[parent]
            section[last] = value
        path.write_text(yaml.safe_dump(tree, sort_keys=False))

    @property
    def summary(self) -> pd.DataFrame:
        return pd.read_csv(self.path / "reports/summary.csv").set_index("model")

    @property
    def reports(self) -> list[Path]:
        """The report's texts; its pictures are none."""
        return sorted(path for path in (self.path / "reports").glob("[!.]*") if path.suffix != ".png")

    @property
    def store(self):
        """MLflow's client on what a bare `mlflow ui` in the clone would show."""
        import mlflow

        uri = f"sqlite:///{self.path / 'mlflow.db'}"
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    @property
    def claims(self) -> list[dict]:
        return json.loads((self.path / "reports/claims.json").read_text())


def stages_in(output: str) -> list[str]:
    """Give the stages that ran, by the lines of DVC or of the scheduler."""
    lines = re.findall(r"Running stage '(.+?)'|^\[\d+/\d+\] (\S+): done in", output, re.MULTILINE)
    return ["".join(names) for names in lines]


def cloned(repository: Path, folder: Path) -> Clone:
    """Copy the repository's current files to `folder`, set small params and commit them to a new repository."""
    made = Clone(folder)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (repository / name).exists() and name != "dvc.lock":
            (made.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, made.path / name)
    made.edit(**SMALL)
    made.run("git", "init", "--quiet")
    made.run("git", "config", "user.name", "test")
    made.run("git", "config", "user.email", "test@example.org")
    made.run("git", "add", ".")
    made.run("git", "commit", "--quiet", "-m", "small")
    return made


@pytest.fixture(scope="session")
def first(repository, tmp_path_factory) -> Clone:
    """A clone after its first run with `make repro`; do not modify it.

    All test processes share it: the first to need it builds it, the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # what the processes share
    made = Clone(folder / "first")
    ran = made.path.with_suffix(".json")
    with FileLock(made.path.with_suffix(".lock")):
        if not ran.exists():
            cloned(repository, made.path)
            ran.write_text(json.dumps(made.repro_side_by_side()))
    return made


@pytest.fixture(scope="session")
def first_run(first) -> list[str]:
    """The stages that the first run ran, as they ended."""
    return json.loads(first.path.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def clone(first, tmp_path_factory) -> Clone:
    """A copy of what the first run has left, for the tests of a module, which follow one another on it."""
    copy = Clone(tmp_path_factory.mktemp("copied") / "clone")
    shutil.copytree(first.path, copy.path, symlinks=True)
    copy.run("python", "-m", "fitgap.tracking.relocate")
    return copy
