"""Test what runs on a node, in this process."""

import pickle

import numpy as np
import pytest

from fitgap.cluster import node
from fitgap.system.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository with one stage as the current folder."""
    for name in ("fitgap/a.py", "data/images.npy"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    (tmp_path / "params.yaml").write_text("data: {size: 3}\n")
    deps = "[fitgap, data/images.npy]"
    (tmp_path / "dvc.yaml").write_text(f"stages: {{prepare: {{cmd: x, deps: {deps}, params: [data.size]}}}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(node, "PACKAGES", ("h5py", "keras"))  # Ray need not be installed here
    monkeypatch.setattr(node, "start_tensorflow", lambda seed, threads: None)
    return tmp_path


def make_order(folder, **fields) -> bytes:
    return pickle.dumps(node.Order(str(folder), "prepare", node.describe("prepare"), threads=1, **fields))


def train(variant, seeds, checkpoint):
    checkpoint.save(f"seed-{seeds[0]}", {"weights": np.arange(len(variant))})


def test_function_gets_its_arguments_and_the_item(folder):
    assert node.carry_out(make_order(folder, function="builtins:pow", arguments=(3,)), 2)[0] == 9


def test_training_returns_the_files_of_the_checkpoint(folder):
    order = make_order(folder, function=f"{__name__}:train", arguments=("l2",), trains=True)
    for seed in (3, 4):
        files, _ = node.carry_out(order, seed)
        assert list(files) == [f"seed-{seed}.pickle"]
    assert not node.CHECKPOINT.exists()


@pytest.mark.parametrize("name", ["fitgap/a.py", "data/images.npy", "params.yaml"])
def test_node_with_another_input_is_refused(folder, name):
    order = make_order(folder, function="builtins:str")
    (folder / name).write_text("data: {size: 4}\n")
    with pytest.raises(UserError, match=f"node .*: {name}.*: not as on the machine that runs the stage"):
        node.carry_out(order, 1)


def test_node_with_another_package_is_refused(folder, monkeypatch):
    order = make_order(folder, function="builtins:str")
    monkeypatch.setattr(node, "version", lambda name: "0.0")
    with pytest.raises(UserError, match="the package h5py, the package keras"):
        node.carry_out(order, 1)
