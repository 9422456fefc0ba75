"""What runs on a node: one task, after a check that the node has the same code, data, params and packages."""

import functools
import importlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitgap.cluster import sameness
from fitgap.cluster.connection import Share
from fitgap.definitions.determinism import start_tensorflow
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.errors import UserError
from fitgap.system.processor import describe_processor


@dataclass(frozen=True)
class Order:
    """What all tasks of a stage have in common.

    Attributes
    ----------
    stage : str or None
        DVC's name of the stage, whose inputs must be the same on the node; None: code and packages only.
    folder : str
        The repository, or the copy of it that DVC made for an experiment.
    state : dict
        From `sameness.describe_here`, on the machine that gives the order.
    function : str
        MODULE:NAME of what a task calls. A name, since the function itself would import TensorFlow too early.
    arguments : tuple
        The first arguments of the function; the item of the task is the last one.
    threads : int or None
        Threads of TensorFlow; None: the function needs no TensorFlow.
    trains : bool
        Whether the function trains seeds into a checkpoint: it is called with the arguments, [seed] and a checkpoint.
    """

    stage: str | None
    folder: str
    state: Mapping[str, str]
    function: str
    arguments: tuple = ()
    threads: int | None = None
    trains: bool = False


@dataclass(frozen=True)
class Answer:
    """What a task gives back: its value, and what computed it."""

    value: Any
    processor: str


PASSED = ("DVC_ROOT", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "KERAS_HOME")  # variables that tasks get too
_prepared: dict[tuple, Callable] = {}  # the functions that this process is ready for; it serves one stage only


def make_task() -> Callable:
    """Return the function that Ray runs: it takes the folder, and an order and an item as bytes of pickle.

    It returns an `Answer`, or a message if the node does not have the folder. Ray sends a nested function by value, and
    the bytes are read inside it: so it also runs where fitgap cannot be imported.
    """

    def run(folder: str, order: bytes, item: bytes) -> "Answer | str":
        import os
        import pickle
        import socket

        if not os.path.isdir(os.path.join(folder, "fitgap")):  # noqa: PTH112, PTH118
            return f"node {socket.gethostname()}: no repository at {folder}: every node needs it at this path"
        from fitgap.cluster import node

        return node.carry_out(pickle.loads(order), pickle.loads(item))

    return run


def carry_out(order: Order, item: Any) -> Answer:
    """Call the order's function with its arguments and the item.

    Returns
    -------
    Answer
        Its value is what the function returns; of a function that trains, the files of its checkpoint.

    Raises
    ------
    UserError
        If the node differs in anything that decides the result.
    """
    key = (order.stage, order.function)
    if key not in _prepared:
        _prepared[key] = _prepare(order)
    function = functools.partial(_prepared[key], *order.arguments)
    value = _train(function, item) if order.trains else function(item)
    return Answer(value, describe_processor())


def environment(share: Share) -> dict[str, Any]:
    """Return the tasks' environment, in Ray's form."""
    variables = {name: os.environ[name] for name in PASSED if name in os.environ}
    variables |= {"PYTHONPATH": str(Path.cwd()), "PYTHONSAFEPATH": "", "PYTHONWARNINGS": ""}
    if not share.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = "-1"  # without num_gpus, Ray leaves all GPUs visible
    return {"env_vars": variables}


def name() -> str:
    """Return what messages call this node."""
    import ray

    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


def _prepare(order: Order) -> Callable:
    """Make this process ready for an order, and return the order's function."""
    os.chdir(order.folder)
    if differs := sameness.difference(order.state, sameness.describe_here(order.stage)):
        raise UserError(
            f"node {name()}: {differs}: not as on the machine that runs the stage; share the folder {order.folder} or "
            "copy it with its times (rsync -a), and install the same packages"
        )
    if order.threads is not None:
        start_tensorflow(0, order.threads)
    module, _, attribute = order.function.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _train(function: Callable, seed: int) -> dict[str, bytes]:
    """Train one seed into an empty checkpoint; return its files by name.

    The folder is the same for all seeds: networks that a stage builds once find their files in it again.
    """
    folder = Path(_checkpoint_folder().name)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    function([seed], Checkpoint(folder))
    return {path.name: path.read_bytes() for path in folder.glob("*.npz")}


@functools.cache
def _checkpoint_folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="fitgap-", ignore_cleanup_errors=True)
