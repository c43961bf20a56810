"""An OpenAI-compatible server on loopback that behaves as badly as it is told, prompt by prompt."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Does for each question what `server.acts` lists, one act a try; the last one goes on for ever."""

    protocol_version = "HTTP/1.1"
    server: "OddServer"
    body: dict[str, Any]

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers), {}))
        self.server.models(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.body = body
        question = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.asked.append((self.path, dict(self.headers), body))
            self.server.busy += 1
            self.server.busiest = max(self.server.busiest, self.server.busy)
            acts = self.server.acts.get(question, [say(f"echo {question}")])
            act = acts[0] if len(acts) == 1 else acts.pop(0)
        try:
            act(self)
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def send(self, status: int, raw: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class OddServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 until its context ends."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.acts: dict[str, list[Act]] = {}
        self.models: Act = list_models("odd-1")
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.busy = self.busiest = self.sent = 0
        self.over = threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that hang up are what is tested

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.asked if body]


@contextlib.contextmanager
def odd_server(tls: ssl.SSLContext | None = None) -> Iterator[OddServer]:
    server = OddServer(tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: str | None, finish: str = "stop", **fields: Any) -> dict[str, Any]:
    """Return a chat completion without log-probabilities."""
    message = {"role": "assistant", "content": text, **fields.pop("message", {})}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish,
        "logprobs": fields.pop("logprobs", None),
    }
    tokens = len((text or "").split())
    return {"choices": [choice], "usage": {"completion_tokens": tokens}, **fields}


def list_models(*ids: str) -> Act:
    raw = json.dumps(
        {"object": "list", "data": [{"id": i, "owned_by": "odd\x1bworks"} for i in ids]}
    ).encode()
    return lambda handler: handler.send(200, raw)


def say(text: str, **fields: Any) -> Act:
    return raw(json.dumps(completion(text, **fields)).encode())


def raw(body: bytes, status: int = 200, **headers: str) -> Act:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send(status, body, named)


def refuse(status: int, message: str, **headers: str) -> Act:
    return raw(json.dumps({"error": {"message": message, "type": "odd"}}).encode(), status, **headers)


def stall(handler: Handler) -> None:
    handler.server.over.wait(600)
    handler.close_connection = True


def drop(handler: Handler) -> None:
    handler.close_connection = True


def drop_halfway(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send a byte every 50 ms: each read succeeds, the whole never ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server.over.is_set():
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    handler.close_connection = True


def gigabyte(handler: Handler, *, told: bool) -> None:
    """Send 1 GB, with its length told or in chunks that never end."""
    handler.send_response(200)
    handler.send_header(*(("Content-Length", str(1 << 30)) if told else ("Transfer-Encoding", "chunked")))
    handler.end_headers()
    block = b" " * (1 << 20)
    sent = 0
    try:
        while sent < 1 << 30:
            handler.wfile.write(block if told else b"100000\r\n" + block + b"\r\n")
            sent += len(block)
    except OSError:
        pass
    finally:
        handler.server.sent = sent
        handler.close_connection = True
