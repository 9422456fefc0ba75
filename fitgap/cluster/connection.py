"""Connect to the Ray cluster that RAY_ADDRESS names; every obstacle is one line."""

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitgap.definitions.determinism import hold_stderr
from fitgap.system.errors import UserError
from fitgap.system.processor import usable_cores

ADDRESS, GPU_SHARE = "RAY_ADDRESS", "FITGAP_GPU_SHARE"
PATIENCE = 4  # seconds until an address counts as dead
MEMORY = 2**30  # bytes that a task reserves; TensorFlow with a small network takes 700 MB
# A wrong token would be tried for 20 s without the first; Ray reports its use to its makers without the second.
SETTINGS = {"RAY_NUM_REDIS_GET_RETRIES": "2", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Share:
    """What a task takes of a node.

    Attributes
    ----------
    cpus : number of processors, which is also the number of threads
    gpus : part of a GPU, 0 to 1; 0 hides all GPUs from the task
    """

    cpus: int
    gpus: float = 0.0

    def fitting(self, resources: Mapping[str, float]) -> int:
        """Return how many tasks a node with these resources (Ray's names) can hold at once."""
        per_gpu = resources.get("GPU", 0) / self.gpus if self.gpus else math.inf
        per_cpu, per_memory = resources.get("CPU", 0) / self.cpus, resources.get("memory", 0) / MEMORY
        return int(min(per_cpu, per_gpu, per_memory) + 1e-9)  # three quarters of a GPU hold 3 tasks, not 2.999

    def __str__(self) -> str:
        gpu = f" and {self.gpus:g} of a GPU" if self.gpus else ""
        return f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}{gpu} and {MEMORY >> 30} GiB of memory"


def is_wanted() -> bool:
    """Return whether RAY_ADDRESS names a cluster."""
    return bool(os.environ.get(ADDRESS))


def connect() -> None:
    """Connect this process to the cluster, unless it is.

    Raises
    ------
    UserError
        If Ray is not installed, or the cluster does not answer within a few seconds or refuses.
    """
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
    refused = None
    with hold_stderr():  # Ray writes a dozen lines before it raises
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:  # ConnectionError, RuntimeError, AuthenticationError, ValueError
            refused = error
    if refused:
        raise UserError(f"{ADDRESS}: {address!r}: {_reason(refused)}") from None


def _probe(address: str) -> None:
    """Check that a gRPC server listens at the address; `ray.init` would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise UserError(f"{ADDRESS}: {address!r}: not an address; write HOST:PORT of the cluster's head, or auto")
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    import grpc

    with contextlib.closing(grpc.insecure_channel(address)) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE)
        except grpc.FutureTimeoutError:
            raise UserError(
                f"{ADDRESS}: {address!r}: no Ray cluster answers there; start its head, or unset {ADDRESS} to work on "
                "this machine"
            ) from None


def _reason(error: BaseException) -> str:
    texts = []
    while error:
        texts.append(" ".join(str(error).split()))
        error = error.__cause__ or error.__context__
    whole = " ".join(texts)
    if "AuthenticationError" in whole or "InvalidAuthToken" in whole:
        return "the cluster refuses the token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the token of its head"
    if "Version mismatch" in whole:
        return f"{texts[0][:300]}; install the same Python and Ray on all machines"
    return f"no connection ({texts[0][:200]})"


def nodes() -> list[dict[str, Any]]:
    """Return the nodes of the cluster that are alive, in Ray's own form."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def share(threads: int | str, gpus: bool = False) -> Share:
    """Return what each task takes; check that a node has it.

    Parameters
    ----------
    threads : a number, or "all": as many as this machine has cores, so that results are those of this machine
    gpus : whether the task can use a GPU; it gets a part of one if the cluster has any

    Raises
    ------
    UserError
        If no node is large enough.
    """
    alive = [node["Resources"] for node in nodes()]
    cpus = usable_cores() if threads == "all" else threads
    has_gpus = gpus and any(resources.get("GPU") for resources in alive)
    taken = Share(cpus, _gpu_share() if has_gpus else 0.0)
    if not any(taken.fitting(resources) for resources in alive):
        most = int(max((resources.get("CPU", 0) for resources in alive), default=0))
        raise UserError(
            f"{ADDRESS}: a task takes {taken}, and no node of the cluster has that: the largest has {most} CPUs; add a "
            "node, or lower compute.threads in params.yaml"
        )
    return taken


def places(taken: Share, alive: Sequence[Mapping[str, Any]]) -> int:
    """Return how many tasks these nodes can hold at once."""
    return sum(taken.fitting(node["Resources"]) for node in alive)


def _gpu_share() -> float:
    given = os.environ.get(GPU_SHARE, "0.25")
    try:
        wanted = float(given)
    except ValueError:
        wanted = -1.0
    if not 0 <= wanted <= 1:
        raise UserError(f"{GPU_SHARE}: {given!r}: the part of a GPU that a task takes, 0 to 1; 0: use no GPU")
    return wanted
