"""What runs on a node: one task, after a check that the node has the same inputs and packages."""

import functools
import importlib
import os
import pickle
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fitgap.cluster.connection import Share
from fitgap.definitions.determinism import start_tensorflow
from fitgap.pipeline import inputs
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.errors import UserError
from fitgap.system.processor import describe_processor

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "h5py", "ray")
PASSED = ("DVC_ROOT", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "KERAS_HOME")  # variables that tasks get too
# One folder for all seeds of this process: networks that a stage builds once write to it again.
CHECKPOINT = Path(tempfile.gettempdir()) / f"fitgap-{os.getpid()}-{time.time_ns()}"


@dataclass(frozen=True)
class Order:
    """What all tasks of a stage have in common."""

    folder: str  # the repository, or the copy of it that DVC made for an experiment
    stage: str  # DVC's name of the stage, whose inputs must be the same on the node
    state: Mapping[str, str]  # from `describe`, on the machine that gives the order
    function: str  # MODULE:NAME of what a task calls; the function itself would import TensorFlow too early
    threads: int  # of TensorFlow
    arguments: tuple = ()  # the first arguments of the function; the item of the task is the last one
    trains: bool = False  # whether the function trains a seed: it is called with the arguments, [seed] and a checkpoint


def describe(stage: str) -> dict[str, str]:
    """Return name -> state of what decides a stage's results: its inputs in the current folder, and the packages."""
    return {**{f"the package {name}": version(name) for name in PACKAGES}, **inputs.read_state(stage)}


def environment(share: Share) -> dict[str, Any]:
    """Return the tasks' environment, in Ray's form."""
    variables = {name: os.environ[name] for name in PASSED if name in os.environ}
    variables |= {"PYTHONPATH": str(Path.cwd()), "PYTHONSAFEPATH": "", "PYTHONWARNINGS": ""}
    if not share.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = "-1"  # without num_gpus, Ray leaves all GPUs visible
    return {"env_vars": variables}


def carry_out(order: bytes, item: Any) -> tuple[Any, str]:
    """Call the order's function with its arguments and the item; return what it returns, and what computed it.

    Of a function that trains, it is name -> content of its checkpoint's files. Raises a UserError if the node's inputs
    or packages differ.
    """
    function, trains = _prepare(order)
    return _train(function, item) if trains else function(item), describe_processor()


@functools.cache
def _prepare(content: bytes) -> tuple[Callable, bool]:
    """Make this process ready for an order; return the function with its arguments, and whether it trains."""
    order: Order = pickle.loads(content)
    os.chdir(order.folder)
    here = describe(order.stage)
    if different := sorted(name for name in order.state | here if order.state.get(name) != here.get(name)):
        raise UserError(
            f"node {socket.gethostname()}: {', '.join(different[:3])}: not as on the machine that runs the stage; "
            f"share the folder {order.folder}, and install the same packages"
        )
    start_tensorflow(0, order.threads)
    module, _, name = order.function.partition(":")
    return functools.partial(getattr(importlib.import_module(module), name), *order.arguments), order.trains


def _train(function: Callable, seed: int) -> dict[str, bytes]:
    """Train one seed into an empty checkpoint; return its files by name."""
    CHECKPOINT.mkdir()
    try:
        function([seed], Checkpoint(CHECKPOINT))
        return {path.name: path.read_bytes() for path in CHECKPOINT.glob("*.pickle")}
    finally:
        shutil.rmtree(CHECKPOINT)
