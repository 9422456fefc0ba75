"""Check that the inputs of a stage do not change while it runs.

DVC 3.67 records the hashes of a stage's inputs after its command has run (dvc#11058). An edit made during the run
would be recorded with outputs computed from the old inputs, and DVC would not rerun the stage. So every stage compares
its inputs, as declared in dvc.yaml, before and after.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fitgap.params import reading
from fitgap.system.errors import UserError
from fitgap.system.files import list_tree

CODE = ("fitgap/", "stages/")
PIPELINE, PARAMS = Path("dvc.yaml"), Path("params.yaml")
State = dict[str, str]  # input -> its value, hash, or size and modification time


def read_state(stage: str) -> State:
    """Return the state of each input of a stage ("prepare" or "scratch@dropout"): quick.

    Params are identified by value, code by hash, data by size and modification time. A stage that is not in dvc.yaml
    has no inputs.
    """
    return _read(stage, lambda path: _hash(path) if str(path).startswith(CODE) else _stamp(path))


def read_contents(stage: str) -> State:
    """Return the content of each input of a stage, the same in any copy: data are identified by hash too."""
    return _read(stage, _hash)


def check_unchanged(stage: str, before: State) -> None:
    """Raise a UserError if an input of the stage has changed since `before`."""
    now = read_state(stage)
    changed = sorted(name for name in before | now if before.get(name) != now.get(name))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(f"{changed[0]}{more}: changed while {stage} was running; its outputs are stale; run it again")


def _read(stage: str, identify: Callable[[Path], str]) -> State:
    params = _tree(PARAMS)
    name, _, item = stage.partition("@")
    entry = _tree(PIPELINE).get("stages", {}).get(name, {})
    body, variables = entry.get("do", entry), {**params, "key": item, "item": item}  # of foreach
    files = [path for dep in body.get("deps", []) for path in _files(Path(_fill(dep, variables)))]
    keys = [_fill(text, variables) for text in body.get("params", [])]
    state = {f"{PARAMS}: {key}": repr(_value_at(params, key)) for key in keys}
    return state | {str(path): identify(path) if path.exists() else "absent" for path in files}


def _tree(path: Path) -> dict[str, Any]:
    """Read a YAML file as DVC does; {} if it is invalid, since `load_params` reports errors in params.yaml."""
    try:
        tree = reading.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _fill(text: str, variables: dict[str, Any]) -> str:
    """Substitute template variables such as ${head.layer}, as DVC does."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(_value_at(variables, match[1])), text)


def _value_at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _files(path: Path) -> Iterator[Path]:
    """Yield all files at a path except byte-code, which Python may write at any time."""
    if not path.is_dir():
        yield path
        return
    yield from (path / name for name in list_tree(path)[0] if "__pycache__" not in name)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> str:
    return f"{path.stat().st_size} bytes of {path.stat().st_mtime_ns}"
