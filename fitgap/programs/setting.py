"""A setting: a file of changes to params.yaml, run as an experiment that leaves params.yaml as it is.

    python -m fitgap.programs.setting settings/notes.yaml [--name NAME] [KEY=VALUE ...]

The experiment bears the file's name, or NAME. It runs in a copy of the repository, several stages at a time, as in
`make repro`. What it has in common with earlier runs comes from DVC's cache. It leaves a report in experiments/NAME,
runs in MLflow, and its models in the copy, which stays until the next run of that name and which `make predict` asks.
"""

import argparse
import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fitgap import lifecycle
from fitgap.params import reading
from fitgap.params.schema import flatten
from fitgap.programs import preflight
from fitgap.system.errors import UserError


def main(*arguments: str) -> None:
    """Check a setting as a whole, then run it."""
    parser = argparse.ArgumentParser(prog="python -m fitgap.programs.setting", description="Run a setting.")
    parser.add_argument("file", metavar="FILE", help="a setting, such as settings/notes.yaml")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="further changes; null removes a key")
    parser.add_argument("--name", help="name of the experiment; default: the file's")
    options = parser.parse_intermixed_args(arguments)
    path = Path(options.file)
    name = check_name(options.name or path.stem)
    changes = flatten(reading.read_tree(path)) | dict(map(parse_assignment, options.changes))
    tree = apply_changes(reading.read_tree(Path("params.yaml")), changes)
    tree = apply_changes(tree, absolute_paths(flatten(tree)))
    preflight.check(reading.validate(tree, path), path)
    run(name, tree)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; the value is YAML, read as params.yaml is."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"{text!r}: should be KEY=VALUE, such as data.path=photos")
    try:
        return key, reading.parse(value)
    except ValueError as error:
        raise UserError(f"{key}: {value!r}: not readable as YAML: {' '.join(str(error).split())}") from None


def absolute_paths(values: dict[str, Any]) -> dict[str, str]:
    """Return the paths among dotted keys, made absolute: the copy stands elsewhere, without the files that Git ignores.

    The default of both names nothing, and stays as it is: another path would prepare the same images again.
    """
    paths = {key: value for key, value in values.items() if key.endswith(".path") and isinstance(value, str)}
    own = {key: value for key, value in paths.items() if value != preflight.NO_PATH}
    return {key: str(Path(value).expanduser().resolve()) for key, value in own.items()}


def apply_changes(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return params with other values at some dotted keys, and without those whose value is None."""
    tree = copy.deepcopy(tree)
    for key, value in changes.items():
        section = tree
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            raise UserError(f"{key}: no such key; what stands above it in params.yaml is no section")
        if value is None:
            section.pop(last, None)
        else:
            section[last] = value
    return tree


def folder_of(name: str) -> Path:
    """Return the copy of the repository that an experiment runs in."""
    return Path.cwd() / ".dvc/tmp/settings" / check_name(name)


def check_name(name: str) -> str:
    """Return the name of an experiment; its folder is removed before the next run, so it must be no path."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"{name!r}: no name for an experiment; take letters, digits, '.', '_' and '-'")
    return name


def run(name: str, tree: dict[str, Any]) -> None:
    """Run the scheduler in a copy of the repository's files with these params; the copy shares DVC's cache.

    Raises a UserError if Git cannot list the files, or if an experiment of this name is running.
    """
    copied = folder_of(name)
    copied.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(copied.with_name(f".{name}.lock"), timeout=0):
            _copy_repository(copied, tree)
            variables = os.environ | {"DVC_ROOT": str(Path.cwd()), "DVC_EXP_NAME": name}
            with _start_scheduler(copied, variables) as scheduler:
                signal.signal(signal.SIGTERM, lambda *_: scheduler.terminate())  # it ends its stages first
                status = scheduler.wait()
    except Timeout:
        raise UserError(f"the experiment {name!r} is running; wait for it, or give this one another NAME") from None
    if status:
        sys.exit(status)
    shutil.rmtree(copied / "data/features")  # large, and in DVC's cache


def _start_scheduler(folder: Path, variables: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "fitgap.programs.scheduler"], cwd=folder, env=variables)


def _copy_repository(copied: Path, tree: dict[str, Any]) -> None:
    from dvc.repo import Repo  # its import takes a while

    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(listed, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise UserError(f"{Path.cwd()}: Git cannot say which files to copy ({answer.stderr.strip()}); run `git init`")
    shutil.rmtree(copied, ignore_errors=True)
    for file in answer.stdout.split("\0"):
        if file and Path(file).is_file():
            (copied / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied / file)
    (copied / "params.yaml").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")  # JSON is YAML
    with Repo() as repo:
        config = f"[core]\n    no_scm = true\n[cache]\n    dir = {repo.cache.local_cache_dir}\n"
    (copied / ".dvc/config.local").write_text(config, encoding="utf-8")


if __name__ == "__main__":
    lifecycle.run(main)
