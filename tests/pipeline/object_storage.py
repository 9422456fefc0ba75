"""A stand-in for S3 on 127.0.0.1 and a free port: moto's server, which keeps objects in memory (`make cluster`)."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


def missing_packages() -> list[str]:
    """Return the modules that moto's server and DVC's S3 remotes need and that are not installed."""
    return [name for name in ("moto", "flask_cors", "dvc_s3") if find_spec(name) is None]


@contextmanager
def object_storage(bucket: str) -> Iterator[str]:
    """Start a server with one empty bucket; yield the server's address, and end it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _create(bucket, f"http://127.0.0.1:{port}", running)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait()


def _create(bucket: str, address: str, running: subprocess.Popen) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 300
    while time.monotonic() < end:
        assert running.poll() is None, "moto's server ended"
        try:
            direct.open(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=60).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("moto's server does not answer")
