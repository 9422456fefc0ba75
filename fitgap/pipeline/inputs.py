"""What a stage reads, as dvc.yaml declares it, and whether it stands still while the stage runs.

DVC 3.67 records the hashes of a stage's inputs after its command (dvc#11058): an edit made meanwhile would be
credited to outputs that know nothing of it, and never run. So every stage looks before and after.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fitgap.params import reading
from fitgap.system.errors import UserError

CODE = ("fitgap/", "stages/")
PIPELINE, PARAMS = Path("dvc.yaml"), Path("params.yaml")
State = dict[str, str]  # what is read -> how it stands


def read_state(stage: str) -> State:
    """Say how each input of a stage stands: `stage` is DVC's name, "prepare" or "scratch@dropout".

    Of params the value counts, of code the content, of data the size and the time of the last change. A stage
    that dvc.yaml does not know reads nothing.
    """
    params = _tree(PARAMS)
    body, names = _body(stage, params)
    files = [path for dep in body.get("deps", []) for path in _files(Path(_fill(dep, names)))]
    values = {key: repr(_value_at(params, key)) for key in (_fill(text, names) for text in body.get("params", []))}
    return {f"{PARAMS}: {key}": value for key, value in values.items()} | {
        str(path): _fingerprint(path) for path in files
    }


def check_unchanged(stage: str, before: State) -> None:
    """Refuse what came of a stage whose inputs have moved since `before`."""
    now = read_state(stage)
    moved = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if moved:
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        raise UserError(f"{moved[0]}{more}: changed while {stage} was running; its outputs do not count: run it again")


def _tree(path: Path) -> dict[str, Any]:
    """Read a YAML file as DVC does, and leniently: what is wrong with params.yaml, `load_params` says better."""
    try:
        tree = reading.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _body(stage: str, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a stage's entry in dvc.yaml, and the names that its templates know: params, and `key` and `item`."""
    name, _, item = stage.partition("@")
    entry = _tree(PIPELINE).get("stages", {}).get(name, {})
    return entry.get("do", entry), {**params, "key": item, "item": item}


def _fill(text: str, names: dict[str, Any]) -> str:
    """Fill a template in as DVC does: ${head.layer}."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(_value_at(names, match[1])), text)


def _value_at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _files(path: Path) -> Iterator[Path]:
    """Give all files at a path, but byte-code, which Python may write at any time."""
    if not path.is_dir():
        yield path
        return
    for folder, inner, files in os.walk(path, followlinks=True):
        inner[:] = [name for name in inner if name != "__pycache__"]
        yield from (Path(folder, name) for name in files)


def _fingerprint(path: Path) -> str:
    try:
        if str(path).startswith(CODE):
            return hashlib.sha256(path.read_bytes()).hexdigest()
        about = path.stat()
        return f"{about.st_size} bytes of {about.st_mtime_ns}"
    except OSError:
        return "absent"
