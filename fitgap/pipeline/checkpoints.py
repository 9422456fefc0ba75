"""Work that a killed stage had finished: kept outside of DVC's outputs, taken up again where nothing has changed.

DVC deletes a stage's outputs before it runs it again, so these files stand in checkpoints/ of the repository,
under a name that follows from everything that the stage reads: code, params, data, versions.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fitgap.pipeline import inputs
from fitgap.system import repository

LIBRARIES = ("tensorflow", "keras", "numpy")  # other versions of these, other bytes
EXPIRY = 14 * 24 * 3600  # seconds after which nobody will take it up again


@dataclass(frozen=True)
class Checkpoint:
    """A folder for what a stage has finished. Arrays are written whole or not at all."""

    folder: Path

    def save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays under a name, in place of what stood there."""
        partial = self.folder / f".{name}.{os.getpid()}.npz"
        np.savez(partial, **arrays)
        partial.replace(self.folder / f"{name}.npz")

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Give the arrays that were kept under a name, or None."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}


@contextmanager
def open_checkpoint(stage: str) -> Iterator[Checkpoint]:
    """Give the folder of a stage, "features" or "scratch@dropout"; it goes when the block ends well.

    After a failure or a kill it stays, and the next run of the same stage on the same inputs finds it.
    """
    above = repository.root() / "checkpoints"
    key = [inputs.read_state(stage), {name: version(name) for name in LIBRARIES}]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    _remove_expired(above)
    kept = Checkpoint(above / f"{stage}-{digest}")
    kept.folder.mkdir(parents=True, exist_ok=True)
    yield kept
    shutil.rmtree(kept.folder, ignore_errors=True)


def _remove_expired(above: Path) -> None:
    """Remove what nobody took up again; a run of another experiment may still be at work in a newer one."""
    for folder in above.glob("*"):
        if time.time() - folder.stat().st_mtime > EXPIRY:
            shutil.rmtree(folder, ignore_errors=True)
