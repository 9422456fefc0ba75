"""Check the cluster before long work starts."""

import pickle
from pathlib import Path
from typing import Any

from fitgap.cluster import connection, sameness
from fitgap.cluster.node import Order, environment, make_task
from fitgap.system.errors import UserError

PATIENCE = 60  # seconds for all nodes to answer; the first task of a node starts a process


def check_cluster(threads: int | str) -> int:
    """Check that the cluster answers, is large enough, and has the same code and packages on every node.

    Parameters
    ----------
    threads : threads of a task, as in params.yaml

    Returns
    -------
    How many tasks the cluster holds at once.

    Raises
    ------
    UserError
        One line that names every node that differs.
    """
    connection.connect()
    share = connection.share(threads)
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    order = Order(None, str(Path.cwd()), sameness.describe_here(None), "builtins:str")
    sent = order.folder, pickle.dumps(order), pickle.dumps("")
    task, alive = ray.remote(make_task()), connection.nodes()
    workers = [node["NodeID"] for node in alive if node["Resources"].get("CPU")]
    there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in workers]
    options = {"num_cpus": 0, "runtime_env": environment(share)}
    begun = [task.options(scheduling_strategy=node, **options).remote(*sent) for node in there]
    ended, silent = ray.wait(begun, num_returns=len(begun), timeout=PATIENCE)
    wrong = [told for told in map(_complaint, ended) if told]
    if silent:
        wrong.append(f"{len(silent)} of {len(begun)} nodes have not answered within {PATIENCE} s")
    if wrong:
        raise UserError("; ".join(wrong))
    return connection.places(share, alive)


def _complaint(reference: Any) -> str | None:
    import ray
    from ray.exceptions import RayTaskError

    try:
        answer = ray.get(reference)
    except RayTaskError as error:
        return str(error.cause)
    return answer if isinstance(answer, str) else None
