"""A setting: a file of changes to params.yaml, run as a DVC experiment that leaves params.yaml as it is.

    python -m fitgap.programs.setting settings/notes.yaml [--name NAME] [--at-once] [KEY=VALUE ...]

The experiment bears the file's name, or NAME. It runs in a copy of the repository, and what it has in common with
earlier runs comes from DVC's cache. A null removes what params.yaml has under that key, such as a variant.

`dvc exp run` runs one stage at a time. With --at-once, several run at a time, as in `make repro`. That copy leaves a
report, runs in MLflow, and what it computed in DVC's cache, but no entry in `dvc exp show`. It stays until the next run
of that name: `make predict NAME=...` asks its models.
"""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from fitgap import lifecycle
from fitgap.params import reading
from fitgap.params.schema import flatten
from fitgap.programs import preflight
from fitgap.system.errors import UserError


def main(*arguments: str) -> None:
    """Check a setting as a whole, then let DVC run it."""
    parser = argparse.ArgumentParser(prog="python -m fitgap.programs.setting", description="Run a setting.")
    parser.add_argument("file", metavar="FILE", help="a setting, such as settings/notes.yaml")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="further changes; null removes the key")
    parser.add_argument("--name", help="name of the experiment; default: the file's")
    parser.add_argument("--at-once", action="store_true", help="run several stages at a time, outside of `dvc exp`")
    options = parser.parse_intermixed_args(arguments)
    path, shipped = Path(options.file), reading.read_tree(Path("params.yaml"))
    name = options.name or path.stem
    changes = absolute_paths(flatten(reading.read_tree(path)) | dict(map(parse_assignment, options.changes)))
    tree = apply_changes(shipped, changes)
    preflight.check(reading.validate(tree, path), path)
    if options.at_once:
        run_at_once(name, tree)
    else:
        run(name, {key: value for key, value in changes.items() if value is not None or has_key(shipped, key)})
    print(f"The report: experiments/{name}/report.html    The runs: make ui")


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; the value is YAML, read as params.yaml is."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"{text!r}: should be KEY=VALUE, such as data.path=photos")
    try:
        return key, reading.parse(value)
    except ValueError as error:
        raise UserError(f"{key}: {value!r}: not readable as YAML: {' '.join(str(error).split())}") from None


def absolute_paths(changes: dict[str, Any]) -> dict[str, Any]:
    """Make paths absolute: the copy that DVC runs in stands elsewhere, and holds what Git or DVC track only."""
    paths = {key: value for key, value in changes.items() if key.endswith(".path") and isinstance(value, str)}
    return changes | {key: str(Path(value).expanduser().resolve()) for key, value in paths.items()}


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


def has_key(tree: dict[str, Any], key: str) -> bool:
    """Return whether params have a dotted key; DVC removes no other."""
    return any(name == key or name.startswith(f"{key}.") for name in flatten(tree))


def run(name: str, changes: dict[str, Any]) -> None:
    """Run `dvc exp run --temp`; an earlier experiment of that name gives way, its results stay in DVC's cache."""
    dvc = [sys.executable, "-m", "dvc", "--wait-for-lock", "exp"]
    subprocess.run([*dvc, "remove", "--quiet", name], capture_output=True, check=False)  # there may be none
    overrides = [  # in Hydra's grammar
        f"--set-param=~{key}" if value is None else f"--set-param=++{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in changes.items()
    ]
    if status := subprocess.run([*dvc, "run", "--temp", "--name", name, *overrides], check=False).returncode:
        sys.exit(status)


def folder_of(name: str) -> Path:
    """Return the copy of the repository that a setting ran in with --at-once."""
    return Path.cwd() / ".dvc/tmp/settings" / name


def run_at_once(name: str, tree: dict[str, Any]) -> None:
    """Run the scheduler in a copy of the repository's files with these params; the copy shares DVC's cache."""
    root, copied = Path.cwd(), folder_of(name)
    from dvc.repo import Repo  # its import takes a while

    shutil.rmtree(copied, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for file in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0"):
        if file and Path(file).is_file():
            (copied / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied / file)
    (copied / "params.yaml").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")  # JSON is YAML
    with Repo() as repo:
        config = f"[core]\n    no_scm = true\n[cache]\n    dir = {repo.cache.local_cache_dir}\n"
    (copied / ".dvc/config.local").write_text(config, encoding="utf-8")
    variables = os.environ | {"DVC_ROOT": str(root), "DVC_EXP_NAME": name}
    command = [sys.executable, "-m", "fitgap.programs.scheduler"]
    if status := subprocess.run(command, cwd=copied, env=variables, check=False).returncode:
        sys.exit(status)
    shutil.rmtree(copied / "data/features")  # large, and in DVC's cache


if __name__ == "__main__":
    lifecycle.run(main)
