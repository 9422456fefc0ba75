"""A Ray cluster for trials, benchmarks and tests: a head without CPUs and some nodes, on 127.0.0.1, with a token.

Run as a program, it is the cluster: `python tests/pipeline/trial_ray.py CPUS ...` starts one node for each number and
writes one line of JSON, the address and the nodes' process ids. It ends when its standard input does.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any

import psutil

OPTIONS = "FITGAP_TRIAL_NODE"  # environment variable: what each node is started with
OBJECT_STORE = 150_000_000  # bytes per node, for the results of tasks that the stage has not fetched yet
# Without this variable, Ray replaces 127.0.0.1 by the machine's address, and listens on all interfaces.
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class RayCluster:
    """A cluster in a process of its own; a context manager that ends it.

    Parameters
    ----------
    cpus : the CPUs of each node
    gpus : the GPUs that each node pretends to have
    """

    def __init__(self, *cpus: int, gpus: int = 0):
        # Ray's own folder would be /tmp/ray, which all users of a machine share.
        self._folder = tempfile.TemporaryDirectory(prefix="fitgap-ray-", ignore_cleanup_errors=True)
        variables = {**ON_LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        options = {"num_gpus": gpus, "object_store_memory": OBJECT_STORE}
        own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": self._folder.name, OPTIONS: json.dumps(options)}
        others = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}  # of another cluster
        command = [sys.executable, __file__, *map(str, cpus)]
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        # A session of its own: Ctrl-C is for the program that started it.
        self._process = subprocess.Popen(command, env=others | variables | own, start_new_session=True, **piped)
        started = self._read()
        self.nodes = started["nodes"]  # process ids of the nodes' raylets
        self.variables = {"RAY_ADDRESS": started["address"], **variables}  # of a program that uses the cluster

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def add(self, cpus: int) -> None:
        """Add a node."""
        self._process.stdin.write(f"{cpus}\n")
        self._process.stdin.flush()
        self.nodes = self._read()["nodes"]

    def kill(self, number: int) -> None:
        """Kill a node, its raylet and all that it has started, as a power failure would."""
        kill_family(self.nodes[number])

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Ray cluster ended with status {self._process.wait()}")
        return json.loads(line)


def kill_family(number: int) -> None:
    """Kill a process and all that it has started."""
    process = psutil.Process(number)
    dying = [*process.children(recursive=True), process]
    for each in reversed(dying):
        with suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGKILL)
    psutil.wait_procs(dying, timeout=30)


def main(cpus: list[int]) -> None:
    """Be the cluster; each line of standard input, a number of CPUs, adds a node."""
    from ray.cluster_utils import Cluster

    head, options = {"num_cpus": 0, "include_dashboard": False}, json.loads(os.environ[OPTIONS])
    cluster = Cluster(initialize_head=True, head_node_args={**head, "object_store_memory": OBJECT_STORE})
    nodes = [cluster.add_node(num_cpus=count, **options) for count in cpus]
    _tell(cluster, nodes)
    for line in sys.stdin:
        nodes.append(cluster.add_node(num_cpus=int(line), **options))
        _tell(cluster, nodes)
    cluster.shutdown()


def _tell(cluster: Any, nodes: list) -> None:
    """Print the address, and the process id of each node's raylet."""
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    print(json.dumps({"address": cluster.address, "nodes": raylets}), flush=True)


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]])
