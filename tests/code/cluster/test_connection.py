"""Test what a task takes of a node, without a cluster; tests/pipeline/test_cluster.py has a real one."""

import subprocess
import sys

import pytest

from fitgap.cluster import connection
from fitgap.cluster.connection import MEMORY, Share
from fitgap.system.errors import UserError


@pytest.mark.parametrize(
    ("share", "resources", "count"),
    [
        (Share(2), {"CPU": 5.0, "memory": 9.0 * MEMORY}, 2),
        (Share(1), {"CPU": 4.0, "memory": 2.5 * MEMORY}, 2),
        (Share(1), {"memory": 9.0 * MEMORY}, 0),  # a head without CPUs
        (Share(1, 0.1), {"CPU": 8.0, "GPU": 0.3, "memory": 9.0 * MEMORY}, 3),
        (Share(1, 0.25), {"CPU": 8.0, "memory": 9.0 * MEMORY}, 0),
    ],
)
def test_scarcest_resource_limits_the_tasks_of_a_node(share, resources, count):
    assert share.fitting(resources) == count


@pytest.fixture
def set_nodes(monkeypatch):
    def set_nodes(*resources: dict) -> None:
        monkeypatch.setattr(connection, "nodes", lambda: [{"memory": 9.0 * MEMORY, **node} for node in resources])

    return set_nodes


def test_all_threads_are_as_many_as_this_machine_has(set_nodes, monkeypatch):
    monkeypatch.setattr(connection, "usable_cores", lambda: 3)
    set_nodes({"CPU": 8.0})
    assert connection.share("all") == Share(3)


def test_tasks_with_tensorflow_take_a_part_of_a_gpu_if_there_is_one(set_nodes):
    set_nodes({"CPU": 8.0}, {"CPU": 8.0, "GPU": 1.0})
    assert connection.share(1) == Share(1, 0.25)
    set_nodes({"CPU": 8.0})
    assert connection.share(1) == Share(1)


def test_no_node_large_enough_is_one_line(set_nodes):
    set_nodes({}, {"CPU": 2.0})
    with pytest.raises(UserError, match="a task takes 4 CPUs, 1 GiB of memory, and no node .* the largest has 2 CPUs"):
        connection.share(4)


@pytest.mark.parametrize("address", ["localhost", "ray://localhost:10001", "127.0.0.1:x", "127.0.0.1:9"])
def test_address_without_a_cluster_is_one_line(monkeypatch, address):
    pytest.importorskip("ray", reason="Ray is not installed: `make cluster`")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=f"^RAY_ADDRESS: '{address}': no Ray cluster answers there; write HOST:PORT"):
        connection.connect()


def test_without_an_address_nothing_of_ray_is_imported(repository):
    code = "import sys, stages.features, stages.scratch; from fitgap.cluster.work import train_on_cluster as train; "
    code += "train('scratch@baseline', 1, [0], None, {}); sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, env={}, check=False).returncode == 0
