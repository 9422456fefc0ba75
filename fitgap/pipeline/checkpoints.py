"""Checkpoints: the finished work of a killed stage, reused by the next run if no input has changed.

DVC deletes a stage's outputs before it reruns the stage, so checkpoints are stored in the repository's checkpoints/
folder instead. Their name is a hash of everything that the stage reads: code, params, data and library versions.
"""

import hashlib
import json
import os
import pickle
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fitgap.pipeline import inputs
from fitgap.system import repository

LIBRARIES = ("tensorflow", "keras", "numpy", "pandas")  # a new version may change the results, or what is saved
EXPIRY = 14 * 24 * 3600  # seconds after which a checkpoint is deleted; another experiment may be using newer ones


@dataclass(frozen=True)
class Checkpoint:
    """A folder for the finished work of a stage. Files are written atomically."""

    folder: Path

    def save(self, name: str, content: Any) -> None:
        """Save an object under a name; an existing entry is replaced."""
        self.save_file(f"{name}.pickle", pickle.dumps(content))

    def save_file(self, name: str, content: bytes) -> None:
        """Save the content of an entry's file, as another checkpoint has it."""
        partial = self.folder / f".{name}.{os.getpid()}"
        partial.write_bytes(content)
        partial.replace(self.folder / name)

    def load(self, name: str) -> Any:
        """Return what was saved under a name, bit for bit, or None if nothing was."""
        path = self.folder / f"{name}.pickle"
        return pickle.loads(path.read_bytes()) if path.exists() else None


@contextmanager
def open_checkpoint(stage: str) -> Iterator[Checkpoint]:
    """Open the checkpoint of a stage ("features" or "scratch@dropout"); delete it if the block succeeds.

    After a failure or a kill it is kept, and the next run of the stage with the same inputs reuses it. Two processes
    may do the same work at once, such as two experiments that share a stage.
    """
    checkpoints = repository.root() / "checkpoints"
    for folder in checkpoints.glob("*"):
        with suppress(FileNotFoundError):  # of another stage that has just ended
            if time.time() - folder.stat().st_mtime > EXPIRY:
                shutil.rmtree(folder, ignore_errors=True)
    key = [inputs.read_contents(stage), {name: version(name) for name in LIBRARIES}]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    name, locks = f"{stage}-{digest}", repository.root() / ".dvc/tmp"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"fitgap-{name}.lock")
    with suppress(Timeout):
        lock.acquire(timeout=0)
    # Whoever holds the lock deletes the folder at its end. Another process that does the same has one of its own.
    checkpoint = Checkpoint(checkpoints / (name if lock.is_locked else f"{name}-{os.getpid()}"))
    checkpoint.folder.mkdir(parents=True, exist_ok=True)
    try:
        yield checkpoint
        shutil.rmtree(checkpoint.folder, ignore_errors=True)
    finally:
        lock.release()
