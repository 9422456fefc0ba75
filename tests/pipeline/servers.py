"""MLflow's server for the tests, on 127.0.0.1, and outages of it."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import trial_servers


class Server:
    """MLflow's server: a process of its own on a free port, with its database and its artifacts in a folder."""

    def __init__(self, folder: Path, database: str | None = None):
        self.folder, self.process, self.port = folder, None, trial_servers.free_port()
        self.database = database or f"sqlite:///{folder / 'mlflow.db'}"

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = trial_servers.start_tracking_server(self.folder, self.database, self.port)

    def kill(self) -> None:
        trial_servers.stop_group(self.process)

    @property
    def client(self) -> mlflow.MlflowClient:
        """A client on the database itself, which answers in milliseconds."""
        return mlflow.MlflowClient(tracking_uri=self.database, registry_uri=self.database)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nothing listens."""
        self.kill()
        yield
        self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Requests are taken and never answered."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        yield
        os.killpg(self.process.pid, signal.SIGCONT)

    @contextmanager
    def dying(self) -> Iterator[None]:
        """The server is killed as soon as a run is half written."""
        killer = threading.Thread(target=self._kill_while_a_run_is_written)
        killer.start()
        yield
        killer.join()
        self.start()

    def _kill_while_a_run_is_written(self) -> None:
        experiment, end = self.client.get_experiment_by_name("fitgap").experiment_id, time.monotonic() + 300
        while time.monotonic() < end and not self.client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            time.sleep(0.01)
        self.kill()


@contextmanager
def proxy(port: int, largest: int) -> Iterator[int]:
    """Start a proxy before a server on a port, as nginx stands before many; it refuses requests of more bytes.

    Yields its own port.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if length > largest:
                self.reply(413, "Request Entity Too Large", "text/html", b"<html><h1>413</h1><hr>nginx</html>")
                return
            server = http.client.HTTPConnection("127.0.0.1", port)
            server.request(self.command, self.path, body, dict(self.headers))
            told = server.getresponse()
            self.reply(told.status, told.reason, told.headers.get("Content-Type", "text/plain"), told.read())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815, names of the library

        def reply(self, status: int, reason: str, kind: str, content: bytes) -> None:
            self.send_response(status, reason)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as started:
        threading.Thread(target=started.serve_forever, daemon=True).start()
        yield started.server_address[1]
        started.shutdown()
