"""A Ray cluster for benchmarks and tests: a head without CPUs and some nodes, all on 127.0.0.1, with a token.

Run as a program, it is the cluster: `python -m bench.ray_cluster CPUS ...` starts one node for each number and writes
one line of JSON, the address and the nodes' process ids. It ends when its standard input does.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress

import psutil

OPTIONS = "RAY_CLUSTER_OPTIONS"  # environment variable: what each node is started with


class RayCluster:
    """A cluster; a context manager that ends it.

    Parameters
    ----------
    cpus : the CPUs of each node
    gpus : the GPUs that each node pretends to have
    memory : the bytes of memory that each node pretends to have; None for the truth
    """

    def __init__(self, *cpus: int, gpus: int = 0, memory: int | None = None):
        token = secrets.token_hex(32)
        self.variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
        # Without it, Ray listens on the machine's own address, and looks for 127.0.0.1 there.
        self.variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        options = {"num_gpus": gpus, **({"memory": memory} if memory else {})}
        own = {**os.environ, **self.variables, OPTIONS: json.dumps(options)}
        own.pop("RAY_ADDRESS", None)
        command = [sys.executable, __file__, *map(str, cpus)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=own
        )
        started = self._read()
        self.address, self.nodes = started["address"], started["nodes"]
        self.variables["RAY_ADDRESS"] = self.address

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=120)

    def add(self, cpus: int) -> None:
        """Add a node."""
        self.process.stdin.write(f"{cpus}\n")
        self.process.stdin.flush()
        self.nodes = self._read()["nodes"]

    def kill(self, number: int) -> None:
        """Kill a node, its raylet and all that it has started, as a power failure would."""
        kill_family(self.nodes[number])

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "the cluster did not start"
        return json.loads(line)


def kill_family(number: int) -> None:
    """Kill a process and all that it has started."""
    process = psutil.Process(number)
    dying = [*process.children(recursive=True), process]
    for one in reversed(dying):
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    psutil.wait_procs(dying, timeout=30)


def main(cpus: list[int]) -> None:
    """Be the cluster."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    options = json.loads(os.environ[OPTIONS])
    nodes = [cluster.add_node(num_cpus=count, **options) for count in cpus]
    told = sys.stdout
    print(json.dumps(state(cluster, nodes)), file=told, flush=True)
    for line in sys.stdin:
        nodes.append(cluster.add_node(num_cpus=int(line), **options))
        print(json.dumps(state(cluster, nodes)), file=told, flush=True)
    cluster.shutdown()


def state(cluster, nodes: list) -> dict:
    """Return the address, and the process id of each node's raylet."""
    return {
        "address": cluster.address,
        "nodes": [node.all_processes["raylet"][0].process.pid for node in nodes],
    }


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]])
