"""A file server on 127.0.0.1 with scripted network faults."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SILENCE = 5.0  # seconds


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

    def address_of(self, name: str) -> str:
        return f"{self.address}/{name}"

    def downloads(self, name: str) -> int:
        return self.asked.count(("GET", name))


@contextmanager
def loopback(folder: Path) -> Iterator[Loopback]:
    """Serve a folder on a free port until the end of the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.loopback = Loopback(f"http://127.0.0.1:{server.server_port}", folder)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.loopback
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer("HEAD", "")

    def do_GET(self):
        faults = self.server.loopback.faults.get(self.path[1:], [])
        self._answer("GET", faults.pop(0) if faults else "")

    def _answer(self, method: str, fault: str) -> None:
        path = self.server.loopback.folder / self.path[1:]
        self.server.loopback.asked.append((method, path.name))
        if fault in ("404", "500") or not path.is_file():
            self.send_error(int(fault or 404))
            return
        content = path.read_bytes()
        half = len(content) // 2
        self.send_response(200)
        if fault != "truncate":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.close_connection = True
        if fault == "corrupt":
            content = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        if method == "GET":
            self.wfile.write(content[:half] if fault in ("drop", "truncate", "hang") else content)
            self.wfile.flush()
            time.sleep(SILENCE if fault == "hang" else 0)

    def log_message(self, *args):
        """Suppress the log."""
