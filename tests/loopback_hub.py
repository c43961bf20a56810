"""A hub on 127.0.0.1 that speaks what huggingface_hub asks of one, and misbehaves when it is told to.

Large files (.gguf, .safetensors) are listed as LFS files with a SHA-256, others with git's id, as the
public hub does. Every request is noted with its headers and the bytes of content that were sent for it.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

LFS = (".gguf", ".safetensors", ".bin")
Files = Mapping[str, bytes]


def git_id(data: bytes) -> str:
    """Return git's id of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - git's own


def row(path: str, data: bytes) -> dict[str, Any]:
    """Return how the hub lists a file."""
    if not path.endswith(LFS):
        return {"rfilename": path, "size": len(data), "blobId": git_id(data)}
    digest = hashlib.sha256(data).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()
    lfs = {"sha256": digest, "size": len(data), "pointerSize": len(pointer)}
    return {"rfilename": path, "size": len(data), "blobId": git_id(pointer), "lfs": lfs}


@dataclass
class Asked:
    """One request, and how many bytes of a file were sent for it."""

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0
    status: int = 0


@dataclass
class LoopbackHub:
    """The hub; use it in a `with` statement.

    Attributes:
        commits: (repository, commit) to the files in it.
        refs: (repository, branch or tag) to the commit.
        asked: all requests so far.
        token: the token that must be sent, or None.
        gated: whether files (not listings) need the token.
        listed: changes the rows of a listing, to make it lie.
        answers: a path of the API to (status, body) that is sent for it.
        tampered: path to other bytes of it than are listed.
        cuts: path to the number of bytes after which connections break, one for each try.
        elsewhere: another hub that large files are redirected to.
        ignores_ranges: whether a range is answered with the whole file.
        told_range: what is said of every range that is sent, to make it lie.
        down: whether every request is answered with 503.
        warning: a warning header on all answers.
    """

    commits: dict[tuple[str, str], Files] = field(default_factory=dict)
    refs: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    token: str | None = None
    gated: bool = False
    listed: Callable[[list[dict[str, Any]]], object] | None = None
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    tampered: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    elsewhere: "LoopbackHub | None" = None
    ignores_ranges: bool = False
    told_range: str | None = None
    down: bool = False
    warning: str | None = None

    def __enter__(self) -> "LoopbackHub":
        self._gone = False
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away: connections are refused from now on, and those that are open get no answer."""
        self._gone = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def push(self, repo: str, files: Files, branch: str = "main") -> str:
        """Add a commit on a branch; return its id."""
        told = json.dumps([(path, git_id(data)) for path, data in sorted(files.items())])
        commit = hashlib.sha1(f"{repo} {told}".encode()).hexdigest()  # noqa: S324
        self.commits[repo, commit] = files
        self.refs[repo, branch] = commit
        return commit

    def bytes_of(self, path: str) -> int:
        """Return how many bytes of a file were sent so far."""
        return sum(a.sent for a in self.asked if a.path.endswith(f"/{path}"))

    @property
    def bytes_sent(self) -> int:
        """Bytes of all files so far."""
        return sum(a.sent for a in self.asked)


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        self.noted = Asked(self.command, path, {k.lower(): v for k, v in self.headers.items()})
        if hub._gone:
            self.close_connection = True
            return None
        hub.asked.append(self.noted)
        if hub.down:
            return self._send(503, b"down")
        if path in hub.answers:
            status, body = hub.answers[path]
            return self._send(status, body, {"Content-Type": "application/json"})
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[4:5] == ["revision"]:
            return self._list("/".join(parts[2:4]), unquote(parts[5]))
        if parts[2:3] == ["resolve"]:
            name = "/".join(unquote(part) for part in parts[4:])
            return self._file("/".join(parts[:2]), unquote(parts[3]), name)
        return self._send(404, b"no such page")

    def _allowed(self) -> bool:
        return self.hub.token is None or self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _find(self, repo: str, revision: str) -> tuple[str, Files] | None:
        hub = self.hub
        if not self._allowed() and not hub.gated:
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif repo not in {name for name, _ in hub.commits}:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif (commit := hub.refs.get((repo, revision), revision)) and (repo, commit) in hub.commits:
            return commit, hub.commits[repo, commit]
        else:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        return None

    def _list(self, repo: str, revision: str) -> None:
        found = self._find(repo, revision)
        if found is None:
            return
        rows: Any = [row(path, data) for path, data in found[1].items()]
        rows = self.hub.listed(rows) if self.hub.listed else rows
        told = {"_id": "1", "id": repo, "modelId": repo, "sha": found[0], "private": False, "siblings": rows}
        self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _file(self, repo: str, revision: str, path: str) -> None:
        hub = self.hub
        found = self._find(repo, revision)
        if found is None:
            return
        commit, files = found
        if path not in files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        if not self._allowed():
            status = 401 if "Authorization" not in self.headers else 403
            return self._send(status, b"", {"X-Error-Code": "GatedRepo"})
        told = row(path, files[path])
        digest = told.get("lfs", {}).get("sha256") or told["blobId"]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if "lfs" in told:
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(told["size"])}
            if hub.elsewhere:
                headers["Location"] = hub.elsewhere.endpoint + self.path
                return self._send(302, b"", headers)
        return self._send_file(path, hub.tampered.get(path, files[path]), headers)

    def _send_file(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        status, asked = 200, self.headers.get("Range")
        if asked and not self.hub.ignores_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(len(data), int(last) + 1 if last else len(data))
            if start >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = self.hub.told_range or f"bytes {start}-{end - 1}/{len(data)}"
            status, data = 206, data[start:end]
        cuts = self.hub.cuts.get(path, [])
        self._send(status, data, headers, cuts.pop(0) if cuts and self.command == "GET" else None)

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.noted.status = status
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        if self.hub.warning:
            self.send_header("X-HF-Warning", self.hub.warning)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        is_file = "/resolve/" in self.noted.path and status in (200, 206)
        # before it is sent: whoever has it may ask at once how much that was
        self.noted.sent = len(body[:cut]) if is_file else 0
        try:
            self.wfile.write(body if cut is None else body[:cut])
        except (
            OSError
        ):  # the client has gone; what it took of it is not known, and the count stays as it was told
            self.close_connection = True
            return
        if cut is not None:
            self.close_connection = True
