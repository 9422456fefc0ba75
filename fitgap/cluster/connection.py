"""Connect to the Ray cluster that RAY_ADDRESS names; every obstacle is one line."""

import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from fitgap.definitions.determinism import hold_stderr
from fitgap.system.errors import UserError
from fitgap.system.processor import usable_cores

ADDRESS = "RAY_ADDRESS"
GPU_SHARE = 0.25  # of a GPU, for a task
PATIENCE = 4  # seconds until an address counts as dead
MEMORY = 2**30  # bytes that a task reserves; TensorFlow with a small network takes 700 MB
# A wrong token would be tried for 20 s without the first; Ray reports its use to its makers without the second.
SETTINGS = {"RAY_NUM_REDIS_GET_RETRIES": "2", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Share:
    """What a task takes of a node."""

    cpus: int  # processors, and as many threads
    gpus: float = 0.0  # part of a GPU, 0 to 1; 0 hides all GPUs from the task

    def fitting(self, resources: Mapping[str, float]) -> int:
        """Return how many tasks a node with these resources (Ray's names) can hold at once."""
        per_gpu = resources.get("GPU", 0) / self.gpus if self.gpus else math.inf
        per_cpu, per_memory = resources.get("CPU", 0) / self.cpus, resources.get("memory", 0) / MEMORY
        return int(min(per_cpu, per_gpu, per_memory) + 1e-9)  # three quarters of a GPU hold 3 tasks, not 2.999


def is_wanted() -> bool:
    """Return whether RAY_ADDRESS names a cluster."""
    return bool(os.environ.get(ADDRESS))


def connect() -> None:
    """Connect this process to the cluster, unless it is; UserError if that fails within a few seconds."""
    address = os.environ[ADDRESS]
    os.environ |= {name: os.environ.get(name, value) for name, value in SETTINGS.items()}
    try:
        import ray
    except ImportError:
        raise UserError(
            f"{ADDRESS}: {address!r}: Ray is not installed; run `make cluster`, or unset {ADDRESS}"
        ) from None
    if ray.is_initialized():
        return
    if address != "auto":
        _probe(address)
    refusal = None
    with hold_stderr():  # Ray writes a dozen lines before it raises
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:  # ConnectionError, RuntimeError, AuthenticationError, ValueError
            refusal = " ".join(str(error).split())[:300]
    if refusal:
        raise UserError(
            f"{ADDRESS}: {address!r}: no connection ({refusal}); RAY_AUTH_MODE=token and RAY_AUTH_TOKEN must be those "
            "of the cluster's head, and Python and Ray the same on all machines"
        )


def _probe(address: str) -> None:
    """Check that something listens at the address; `ray.init` would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, ValueError):
        raise UserError(
            f"{ADDRESS}: {address!r}: no Ray cluster answers there; write HOST:PORT of the cluster's head, or auto; or "
            f"unset {ADDRESS} to work on this machine"
        ) from None


def nodes() -> list[dict[str, float]]:
    """Return the resources (by Ray's names) of the cluster's nodes that are alive."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def share(threads: int | str) -> Share:
    """Return what each task takes, a part of a GPU too if the cluster has any; check that a node has it.

    With `threads` "all", it is as many as this machine has cores, so that results are those of this machine.
    """
    alive = nodes()
    cpus = usable_cores() if threads == "all" else threads
    task = Share(cpus, GPU_SHARE if any(resources.get("GPU") for resources in alive) else 0.0)
    if not any(task.fitting(resources) for resources in alive):
        most = int(max((resources.get("CPU", 0) for resources in alive), default=0))
        raise UserError(
            f"{ADDRESS}: a task takes {cpus} CPUs, {MEMORY >> 30} GiB of memory, and no node of the cluster has that; "
            f"the largest has {most} CPUs: add a node, or lower compute.threads in params.yaml"
        )
    return task


def places(task: Share) -> int:
    """Return how many tasks the cluster can hold at once."""
    return sum(task.fitting(resources) for resources in nodes())
