"""A PostgreSQL server of the tests' own, on 127.0.0.1 and a free port; it needs the Debian package `postgresql`."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, FAST = "fitgap", signal.SIGINT  # SIGINT ends PostgreSQL without waiting for its clients


def binaries() -> Path | None:
    """Return the folder of initdb and postgres, or None. Debian's is not on the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


@contextmanager
def postgres() -> Iterator[str]:
    """Start an empty database server; yield its address, and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="fitgap-postgres-") as name:  # pytest's own folders are root's alone
        folder, rights = Path(name), _unprivileged()
        if rights:
            shutil.chown(folder, rights["user"], rights["group"])
        command = [binaries() / "initdb", "-D", folder / "data", "-U", USER, "--auth=trust", "--no-sync"]
        quiet = {"stdout": subprocess.DEVNULL, "cwd": folder, **rights}
        subprocess.run([*command, "--encoding=UTF8", "--locale=C"], check=True, **quiet)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [binaries() / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        running = subprocess.Popen([*command, "-F"], stderr=subprocess.DEVNULL, **quiet)
        try:
            _wait_for(port, running)
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
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


def _wait_for(port: int, running: subprocess.Popen) -> None:
    import psycopg

    for _ in range(300):
        assert running.poll() is None, "PostgreSQL ended"
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise TimeoutError("PostgreSQL does not answer")
