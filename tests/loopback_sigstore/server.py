"""HTTP on 127.0.0.1 for the loopback services."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import urlsplit

from loopback_sigstore.faults import Answer


class Responder(Protocol):
    """Whoever answers requests."""

    def respond(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request; header names are lower case."""
        ...


class LoopbackServer(ThreadingHTTPServer):
    """Serves until `stop`; what went wrong inside is kept in `crashes`."""

    daemon_threads = True

    def __init__(self, responder: Responder) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responder = responder
        self.crashes: list[str] = []
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on, and let go whoever was kept waiting."""
        if not self.stopping.is_set():
            self.stopping.set()
            if self._thread.is_alive():
                self.shutdown()
                self._thread.join()
            self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        self.crashes.append(repr(sys.exception()))


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        parts = urlsplit(self.path)
        answer = self.server.responder.respond(self.command, parts.path, parts.query, headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except OSError:  # the client has gone
            self.close_connection = True
