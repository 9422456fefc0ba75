"""Test what a task takes of a node, without a cluster; tests/pipeline/test_cluster.py has a real one."""

import pytest

from fitgap.cluster import connection
from fitgap.cluster.connection import MEMORY, Share
from fitgap.system.errors import UserError


@pytest.mark.parametrize(
    ("share", "resources", "count"),
    [
        (Share(1), {"CPU": 4.0, "memory": 9.0 * MEMORY}, 4),
        (Share(2), {"CPU": 5.0, "memory": 9.0 * MEMORY}, 2),
        (Share(1), {"CPU": 4.0, "memory": 2.5 * MEMORY}, 2),
        (Share(1), {"memory": 9.0 * MEMORY}, 0),  # a head without CPUs
        (Share(1, 0.25), {"CPU": 8.0, "GPU": 1.0, "memory": 9.0 * MEMORY}, 4),
        (Share(1, 0.1), {"CPU": 8.0, "GPU": 0.3, "memory": 9.0 * MEMORY}, 3),
        (Share(1, 0.25), {"CPU": 8.0, "memory": 9.0 * MEMORY}, 0),
    ],
)
def test_a_node_holds_as_many_tasks_as_its_scarcest_resource_allows(share, resources, count):
    assert share.fitting(resources) == count


@pytest.fixture
def nodes(monkeypatch):
    def given(*resources: dict) -> None:
        monkeypatch.setattr(connection, "nodes", lambda: [{"Resources": one} for one in resources])

    monkeypatch.delenv(connection.GPU_SHARE, raising=False)
    return given


def test_all_threads_are_as_many_as_this_machine_has(nodes, monkeypatch):
    monkeypatch.setattr(connection, "usable_cores", lambda: 3)
    nodes({"CPU": 8.0, "memory": 9.0 * MEMORY})
    assert connection.share("all") == Share(3)


def test_tasks_with_tensorflow_take_a_part_of_a_gpu_where_there_is_one(nodes, monkeypatch):
    nodes({"CPU": 8.0, "memory": 9.0 * MEMORY}, {"CPU": 8.0, "GPU": 1.0, "memory": 9.0 * MEMORY})
    assert connection.share(1, gpus=True) == Share(1, 0.25)
    assert connection.share(1, gpus=False) == Share(1)
    monkeypatch.setenv(connection.GPU_SHARE, "0.5")
    assert connection.share(1, gpus=True) == Share(1, 0.5)
    nodes({"CPU": 8.0, "memory": 9.0 * MEMORY})
    assert connection.share(1, gpus=True) == Share(1)


@pytest.mark.parametrize("given", ["x", "-0.5", "1.5", "nan"])
def test_a_part_of_a_gpu_is_between_nothing_and_all(nodes, monkeypatch, given):
    nodes({"CPU": 8.0, "GPU": 1.0, "memory": 9.0 * MEMORY})
    monkeypatch.setenv(connection.GPU_SHARE, given)
    with pytest.raises(UserError, match=f"FITGAP_GPU_SHARE: {given!r}: the part of a GPU"):
        connection.share(1, gpus=True)


def test_no_node_large_enough_is_one_line(nodes):
    nodes({"memory": 9.0 * MEMORY}, {"CPU": 2.0, "memory": 9.0 * MEMORY})
    with pytest.raises(
        UserError, match="a task takes 4 CPUs and 1 GiB of memory, and no node .* the largest has 2 CPUs"
    ):
        connection.share(4)
