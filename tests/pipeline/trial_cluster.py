"""A small cluster on this machine, for trying what docs/cluster.md describes.

    python tests/pipeline/trial_cluster.py                # prints variables for another terminal; Ctrl-C stops it
    python tests/pipeline/trial_cluster.py make repro     # runs the command with these variables, then stops it

It starts a Ray head without CPUs, two Ray nodes with one CPU each, and MLflow's tracking server on PostgreSQL (on
SQLite where PostgreSQL is not installed). All listen on 127.0.0.1 and on free ports, and Ray asks for a token. Their
files are temporary.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import trial_servers
from trial_ray import RayCluster

CPUS = (1, 1)  # of each node


def main(*command: str) -> None:
    """Start the cluster; run the command in it, or wait for Ctrl-C; then stop the cluster."""
    if missing := [name for name in ("ray", "psycopg") if find_spec(name) is None]:
        sys.exit(f"fitgap: not installed: {', '.join(missing)}; `make cluster` installs it")
    with ExitStack() as stack:
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fitgap-")))
        cluster = stack.enter_context(RayCluster(*CPUS))
        database = f"sqlite:///{folder / 'mlflow.db'}"
        if trial_servers.postgres_binaries():
            database = stack.enter_context(trial_servers.postgres())
        port = trial_servers.free_port()
        server = trial_servers.start_tracking_server(folder, database, port)
        stack.callback(trial_servers.stop_group, server)
        variables = {**cluster.variables, "MLFLOW_TRACKING_URI": f"http://{trial_servers.HOST}:{port}"}
        sys.exit(run_inside(command, variables) if command else wait_for_interrupt(variables))


def run_inside(command: tuple[str, ...], variables: Mapping[str, str]) -> int:
    """Run a command with more variables and return its exit status; end it first if this program is to stop."""
    try:
        running = subprocess.Popen(command, env={**os.environ, **variables})
    except OSError as error:
        sys.exit(f"fitgap: {command[0]}: {error.strerror}; name a program and its arguments, e.g. make repro")
    try:
        status = running.wait()
        return status if status >= 0 else 128 - status  # as in a shell
    finally:
        running.terminate()  # does nothing if it has ended
        running.wait()


def wait_for_interrupt(variables: Mapping[str, str]) -> int:
    """Print the variables and wait for Ctrl-C."""
    try:  # around the lines too: who reads the last one may press Ctrl-C before the next statement
        for name, value in variables.items():
            print(f"export {name}={value}")
        print("fitgap: paste these lines into another terminal; Ctrl-C here stops the cluster", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("fitgap: stopping", flush=True)
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
