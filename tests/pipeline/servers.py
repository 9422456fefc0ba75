"""MLflow's server for the tests, and a proxy before it that breaks requests. Both listen on 127.0.0.1."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import trial_servers


@dataclass(frozen=True)
class Outage:
    """A fault of the server: `kind`, from the `nth` request on with `at` in its method and path.

    Kinds: `down` (nothing listens), `500`, `hang` (taken and never answered), `die` (SIGKILL to the server), and
    `lose`, once: the server does it, and the answer never arrives.
    """

    kind: str
    at: str = ""
    nth: int = 1


class Server:
    """MLflow's server: a process of its own on a free port, with its database and its artifacts in a folder."""

    def __init__(self, folder: Path, database: str | None = None):
        self.folder, self.process, self.port = folder, None, trial_servers.free_port()
        self.database = database or f"sqlite:///{folder / 'mlflow.db'}"

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self.process and self.process.poll() is None:
            return
        self.process = trial_servers.start_tracking_server(self.folder, self.database, self.port)

    def kill(self) -> None:
        if self.process:
            trial_servers.stop_group(self.process)

    @property
    def client(self) -> mlflow.MlflowClient:
        """A client on the database itself, which answers in milliseconds."""
        return mlflow.MlflowClient(tracking_uri=self.database, registry_uri=self.database)


class Front:
    """Listens before a server and passes on what comes, but in an outage."""

    def __init__(self, server: Server):
        self.server, self.outage, self.over = server, None, threading.Event()
        self.port = 0
        self.open()

    def open(self) -> None:
        self.listening = ThreadingHTTPServer(("127.0.0.1", self.port), Passing)
        self.port, self.listening.front, self.listening.daemon_threads = self.listening.server_port, self, True
        self.thread = threading.Thread(target=self.listening.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.listening.shutdown()
        self.thread.join()
        self.listening.server_close()

    @contextmanager
    def suffering(self, outage: Outage) -> Iterator[None]:
        """Simulate an outage inside the block; afterwards restore the proxy and restart a killed server."""
        self.outage, self.left = outage, outage.nth
        self.over.clear()
        if outage.kind == "down":
            self.close()
        try:
            yield
        finally:
            self.outage = None
            self.over.set()
            if outage.kind == "down":
                self.open()
            self.server.start()

    def fate(self, request: str) -> Outage:
        """Return the outage that a request meets; of the kind `passes` if none."""
        outage = self.outage
        if outage and self.left and outage.at in request:
            self.left -= 1
        if not outage or self.left:
            return Outage("passes")
        if outage.kind == "lose":
            self.outage = None
        return outage


class Passing(BaseHTTPRequestHandler):
    """Handle one request of the proxy; returning without a response closes the connection, like a dying server."""

    def _pass(self):
        front, body = self.server.front, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        outage = front.fate(f"{self.command} {self.path}")
        self.close_connection = True
        if outage.kind == "500":
            self.send_error(500)
        elif outage.kind == "hang":
            front.over.wait()
        elif outage.kind == "die":
            front.server.kill()
        else:
            self._forward(front.server.port, body, is_answered=outage.kind != "lose")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

    def _forward(self, port: int, body: bytes, is_answered: bool) -> None:
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        try:
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            upstream.request(self.command, self.path, body, kept)
            answer = upstream.getresponse()
            content = answer.read()
            if is_answered:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
        except (OSError, http.client.HTTPException):
            return  # the server is dead, or the client has gone

    def log_message(self, *args):
        """Suppress the log."""
