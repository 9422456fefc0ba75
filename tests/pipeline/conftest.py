"""A clone of the repository with small params, and a real `dvc repro` in it, once for all tests of a process.

The tests of a module follow one another on that clone; `make test` keeps each module in one process.
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

SMALL = {
    "seeds": [0, 1],
    "backbone.glyphs.images": 360,
    "scratch.epochs": 3,
    "scratch.filters": [8, 16],
    "highrate.variants": ["baseline"],
    "head.epochs": 3,
    "finetune.epochs": 2,
    "finetune.depths": ["block5"],
    "variants": {"baseline": {}, "dropout": {"dropout": 0.5}},
}


@dataclass(frozen=True)
class Clone:
    """A repository of its own, with its own DVC cache and MLflow store; `variables` are for all that runs in it."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that put this very Python first on the PATH, and name no store but the clone's."""
        given = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_", "GIT_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}"
        modules = os.pathsep.join([str(self.path), self.variables.get("PYTHONPATH", "")])
        return {**given, "PATH": path, **self.variables, "PYTHONPATH": modules}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the clone."""
        ended = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def repro(self, *options: str) -> list[str]:
        """Run `dvc repro`; give the stages that ran, in order."""
        return re.findall(r"Running stage '(.+?)'", self.run("dvc", "repro", *options).stdout)

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
    def claims(self) -> list[dict]:
        return json.loads((self.path / "reports/claims.json").read_text())


def cloned(repository: Path, folder: Path) -> Clone:
    """Give the repository's files as they stand, with small params, committed."""
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
def clone(repository, tmp_path_factory) -> Clone:
    """The clone that a process's tests share."""
    return cloned(repository, tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def first_run(clone) -> list[str]:
    """The stages that the first `dvc repro` ran."""
    return clone.repro()


@pytest.fixture(scope="session")
def store(clone, first_run):
    """MLflow's client on what a bare `mlflow ui` in the clone would show."""
    import mlflow

    uri = f"sqlite:///{clone.path / 'mlflow.db'}"
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
