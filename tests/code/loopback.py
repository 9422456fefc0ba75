"""A file server on 127.0.0.1 with scripted network faults."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WHOLE = "whole"


@dataclass
class Loopback:
    """Files by name, the faults that their next requests meet, and what was asked.

    Faults: `drop` (the connection ends half-way), `truncate` (half of it passes for all), `corrupt` (a byte
    differs), `500`, `404`, `hang` (silence after the first half).
    """

    address: str
    folder: Path
    faults: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    silence: float = 5.0  # seconds

    def address_of(self, name: str) -> str:
        return f"{self.address}/{name}"

    def downloads(self, name: str) -> int:
        return self.asked.count(("GET", name))


@contextmanager
def loopback(folder: Path) -> Iterator[Loopback]:
    """Serve a folder on a free port until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.loopback = Loopback(f"http://127.0.0.1:{server.server_port}", folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.loopback
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer("HEAD", WHOLE)

    def do_GET(self):
        faults = self.server.loopback.faults.get(self.path[1:], [])
        self._answer("GET", faults.pop(0) if faults else WHOLE)

    def _answer(self, method: str, fault: str) -> None:
        serving, name = self.server.loopback, self.path[1:]
        serving.asked.append((method, name))
        if fault in ("404", "500") or not (serving.folder / name).is_file():
            self.send_error(int(fault) if fault.isdigit() else 404)
            return
        self._send(method, (serving.folder / name).read_bytes(), fault)

    def _send(self, method: str, content: bytes, fault: str) -> None:
        half = content[: len(content) // 2]
        self.send_response(200)
        if fault != "truncate":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.close_connection = True
        if method == "HEAD":
            return
        if fault == "corrupt":
            content = half + bytes([content[len(half)] ^ 1]) + content[len(half) + 1 :]
        self.wfile.write(half if fault in ("drop", "truncate", "hang") else content)
        if fault == "hang":
            self.wfile.flush()
            time.sleep(self.server.loopback.silence)

    def log_message(self, *args):
        """Suppress the log."""
