"""Servers for a trial and for tests, on 127.0.0.1 and free ports: PostgreSQL and MLflow's tracking server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
USER, FAST = "fitgap", signal.SIGINT  # SIGINT ends PostgreSQL without waiting for its clients
PATIENCE = 300  # seconds until a server answers; machines with much other work are slow
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server((HOST, 0)) as free:
        return free.getsockname()[1]


def start_tracking_server(folder: Path, database: str, port: int) -> subprocess.Popen:
    """Start `mlflow server`, wait until it answers, and return its process, which leads a process group of its own.

    Parameters
    ----------
    folder : where the files of runs are stored, in artifacts/; clients send them through the server
    database : address of the database that stores the runs
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    # Jobs, of which fitgap has none, would cost seven processes more.
    variables = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    running = subprocess.Popen(command, cwd=folder, env=variables, start_new_session=True, **QUIET)
    try:
        wait_for_address(running, f"http://{HOST}:{port}/health")
    except BaseException:
        stop_group(running)
        raise
    return running


def stop_group(running: subprocess.Popen) -> None:
    """Kill a process that leads a process group, with the whole group."""
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def wait_for_address(running: subprocess.Popen, address: str) -> None:
    """Wait until a server answers at an HTTP address."""
    _wait_for(running, lambda: urllib.request.urlopen(address, timeout=5).close())


def postgres_binaries() -> Path | None:
    """Return the folder of initdb and postgres, or None. Debian's is not on the PATH."""
    initdb = shutil.which("initdb")
    folders = [Path(initdb).resolve().parent] if initdb else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


@contextmanager
def postgres() -> Iterator[str]:
    """Start an empty database server; yield its address, and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="fitgap-postgres-") as name:  # pytest's own folders are root's alone
        folder, port, rights = Path(name), free_port(), _unprivileged()
        if rights:
            shutil.chown(folder, rights["user"], rights["group"])
        options = {"cwd": folder, "start_new_session": True, **rights}  # Ctrl-C is for the program that started it
        command = [postgres_binaries() / "initdb", "-D", folder / "data", "-U", USER, "--auth=trust", "--no-sync"]
        subprocess.run([*command, "--encoding=UTF8", "--locale=C"], check=True, stdout=subprocess.DEVNULL, **options)
        command = [postgres_binaries() / "postgres", "-D", folder / "data", "-h", HOST, "-p", str(port), "-k", folder]
        running = subprocess.Popen([*command, "-F"], **QUIET, **options)
        try:
            _wait_for(running, lambda: _connect(port))
            yield f"postgresql://{USER}@{HOST}:{port}/postgres"
        finally:
            running.send_signal(FAST)
            running.wait(timeout=60)


def _unprivileged() -> dict:
    """Return options of subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return {}
    import pwd  # Windows has none

    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _connect(port: int) -> None:
    import psycopg

    psycopg.connect(host=HOST, port=port, user=USER, dbname="postgres").close()


def _wait_for(running: subprocess.Popen, connect: Callable[[], None]) -> None:
    """Call `connect` until it succeeds; raise RuntimeError if the process ends, TimeoutError after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if running.poll() is not None:
            raise RuntimeError(f"{running.args[0]} ended with status {running.returncode}")
        try:
            return connect()
        except Exception:  # OSError, or psycopg's own
            time.sleep(0.1)
    raise TimeoutError(f"{running.args[0]} does not answer")
