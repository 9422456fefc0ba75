"""What must be the same on all machines of a cluster, so that a task has the bytes that it has here."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fitgap.pipeline import inputs
from fitgap.system.trees import list_tree

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "h5py", "ray")
CODE = ("fitgap", "stages")


def describe_here(stage: str | None) -> dict[str, str]:
    """Return name -> state of everything that decides a stage's results, in the current folder.

    Code counts by content, params by value, data by size and modification time, packages by version.

    Parameters
    ----------
    stage : DVC's name; None: code and packages only
    """
    code = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for folder in CODE for path in _sources(folder)}
    packages = {f"the package {name}": _version(name) for name in PACKAGES}
    return {**code, **packages, **(inputs.read_state(stage) if stage else {})}


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """Return the first thing that differs and how many more do; None if all is the same."""
    names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    if not names:
        return None
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _sources(folder: str) -> list[Path]:
    if not Path(folder).is_dir():
        return []
    files, _ = list_tree(Path(folder))
    return [Path(folder) / name for name in files if name.endswith(".py")]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
