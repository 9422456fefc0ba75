"""Test what runs on a node that does not have the repository."""

import pickle
import subprocess
import sys

import cloudpickle  # as in Ray

from fitgap.cluster import node

CODE = """
import pickle, sys
run, order = pickle.load(sys.stdin.buffer)
print(run("/no/such/folder", order, b""))
print([name for name in sys.modules if name.startswith("fitgap")])
"""


def test_a_node_without_the_repository_says_so_and_imports_nothing_of_it(tmp_path):
    order = pickle.dumps(node.Order(None, "/no/such/folder", {}, "builtins:str"))
    sent = cloudpickle.dumps((node.make_task(), order))
    command = [sys.executable, "-I", "-c", CODE]
    told = subprocess.run(command, cwd=tmp_path, input=sent, capture_output=True, check=True).stdout.decode()
    assert "no repository at /no/such/folder: every node needs it at this path\n[]" in told
