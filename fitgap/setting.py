"""A setting: a file of changes to params.yaml, run as a DVC experiment that leaves params.yaml as it is.

    python -m fitgap.setting settings/notes.yaml [KEY=VALUE ...]

The experiment bears the file's name. It runs in a copy of the repository, and what it has in common with earlier
runs comes from DVC's cache.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from fitgap import params, preflight, stage
from fitgap.errors import UserError
from fitgap.strict_yaml import StrictLoader


def main(file: str, *more: str) -> None:
    """Check a setting as a whole, then let DVC run it."""
    path = Path(file)
    changes = from_here(leaves(params.read_tree(path)) | dict(assignment(text) for text in more))
    chosen = params.validated(changed(params.read_tree(Path("params.yaml")), changes), path)
    preflight.check(chosen, path)
    run(path.stem, changes)
    print(f"The report: experiments/{path.stem}/report.html    The runs: make ui")


def leaves(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Give a tree's values by their dotted keys; an empty mapping is a value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{above}{key}.") if isinstance(value, dict) and value else {f"{above}{key}": value}
    return found


def assignment(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; the value is YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"{text!r}: should be KEY=VALUE, such as data.path=photos")
    try:
        return key, yaml.load(value, Loader=StrictLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise UserError(f"{key}: {value!r}: not readable as YAML: {' '.join(str(error).split())}") from None


def from_here(changes: dict[str, Any]) -> dict[str, Any]:
    """Make paths absolute: the copy that DVC runs in stands elsewhere, and holds what Git or DVC track only."""
    paths = {key: value for key, value in changes.items() if key.endswith(".path") and isinstance(value, str)}
    return changes | {key: str(Path(value).expanduser().resolve()) for key, value in paths.items()}


def changed(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Give params with other values at some dotted keys."""
    tree = copy.deepcopy(tree)
    for key, value in changes.items():
        section = tree
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return tree


def run(name: str, changes: dict[str, Any]) -> None:
    """Run `dvc exp run --temp`; an earlier experiment of that name gives way, its results stay in DVC's cache."""
    dvc = [sys.executable, "-m", "dvc", "--wait-for-lock", "exp"]
    subprocess.run([*dvc, "remove", "--quiet", name], capture_output=True, check=False)  # there may be none
    assignments = [f"--set-param=++{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items()]
    ended = subprocess.run([*dvc, "run", "--temp", "--name", name, *assignments], check=False)
    if ended.returncode:
        sys.exit(ended.returncode)


if __name__ == "__main__":
    stage.run(main)
