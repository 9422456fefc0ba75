"""Work on a Ray cluster: what a stage and a task cost more than on one machine, and where it stops scaling.

    python -m bench.cluster

All nodes are processes on this machine. So the first part has two cores' work to divide, whatever the number of nodes;
in the second, tasks sleep, and the number of workers is that of a large cluster.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from bench.pipeline import Copy, copied
from tests.pipeline.trial_ray import RayCluster

STAGE = "scratch@baseline"
NODES = (1, 2, 4)  # of one CPU each
WORKERS = (10, 50, 100, 200)
SECONDS, TASKS_PER_WORKER = 10, 4  # of a simulated task, which sleeps
MEMORY = 2**40  # bytes that a simulated node pretends to have
SLEEP = """
import json, sys, time
from fitgap.cluster.work import Cluster
cluster, (workers, tasks, seconds) = Cluster("prepare", 1, tensorflow=False), map(int, sys.argv[1:])
taken = {}
for what in ("first", "again"):
    begin = time.perf_counter()
    for _ in cluster.map("time:sleep", [seconds] * tasks):
        pass
    taken[what] = time.perf_counter() - begin
begin = time.perf_counter()
for _ in cluster.map("time:sleep", [0] * tasks):
    pass
print(json.dumps(taken | {"nothing": time.perf_counter() - begin}))
"""


def stages(copy: Copy) -> list[dict[str, Any]]:
    """Run one stage on this machine alone, and on clusters of 1, 2 and 4 node processes.

    Returns
    -------
    One dict per run: nodes (0: without Ray), seconds of the whole process.
    """
    rows = [{"nodes": 0, "seconds": _run_stage(copy, {})}]
    for nodes in NODES:
        with RayCluster(*[1] * nodes) as cluster:
            rows.append({"nodes": nodes, "seconds": _run_stage(copy, cluster.variables)})
    return rows


def _run_stage(copy: Copy, variables: dict[str, str]) -> float:
    family, _, variant = STAGE.partition("@")
    begin = time.perf_counter()
    command = [sys.executable, "-m", f"stages.{family}", variant]
    subprocess.run(command, cwd=copy.path, env=copy.environment | variables, check=True, capture_output=True)
    return time.perf_counter() - begin


def simulated(copy: Copy, workers: Sequence[int] = WORKERS) -> list[dict[str, Any]]:
    """Run tasks that sleep on clusters with many workers, through the same code as a stage.

    Returns
    -------
    One dict per cluster: workers, tasks, seconds that the tasks need without any overhead (`ideal`), seconds with the
    start of all worker processes (`first`), with processes that stand (`again`), and of as many tasks that do not sleep
    (`nothing`).
    """
    rows = []
    for count in workers:
        tasks = TASKS_PER_WORKER * count
        with RayCluster(count, memory=MEMORY) as cluster:
            command = [sys.executable, "-c", SLEEP, str(count), str(tasks), str(SECONDS)]
            environment = copy.environment | cluster.variables
            ended = subprocess.run(command, cwd=copy.path, env=environment, check=True, capture_output=True, text=True)
        (measured,) = (line for line in ended.stdout.splitlines() if line.startswith("{"))
        rows.append({"workers": count, "tasks": tasks, "ideal": SECONDS * TASKS_PER_WORKER, **json.loads(measured)})
    return rows


def measure(copy: Copy) -> dict[str, list[dict[str, Any]]]:
    """Measure both; {} if Ray is not installed."""
    if find_spec("ray") is None:
        return {}
    return {"stages": stages(copy), "simulated": simulated(copy)}


def main() -> None:
    """Print both tables; the arguments are numbers of workers."""
    with copied() as copy:
        copy.run("dvc", "repro", "prepare")
        for row in simulated(copy, [int(count) for count in sys.argv[1:]] or WORKERS):
            first, again = (f"{row['ideal'] / row[name]:.0%}" for name in ("first", "again"))
            print(row, f"efficiency {first}, again {again}", flush=True)
        for row in stages(copy):
            print(row, flush=True)


if __name__ == "__main__":
    main()
