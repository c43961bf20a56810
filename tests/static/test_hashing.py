import hashlib
import os
import threading
from pathlib import Path

import pytest

from qaudit.static import hashing
from qaudit.static.byte_source import ByteSource
from qaudit.static.folder_view import Entry
from qaudit.static.hashing import CHUNK, MOST_FETCHED, hash_all
from qaudit.static.surveying import survey
from qaudit.values import FileDigest, Surface


def test_every_file_is_hashed_whole_and_in_order(tmp_path: Path) -> None:
    contents = {"a": b"", "b": b"x", "c": os.urandom(2 * CHUNK), "sub/d": os.urandom(2 * CHUNK + 7)}
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    told: list[tuple[str, int, int]] = []
    surfaces: list[Surface] = []
    found = hash_all(survey(tmp_path).entries, surfaces, lambda *step: told.append(step))
    assert found == tuple(
        FileDigest(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()
    )
    assert told == [(name, number + 1, 4) for number, name in enumerate(contents)]
    assert surfaces == []


def test_what_cannot_be_read_is_a_surface_and_no_digest(tmp_path: Path) -> None:
    (tmp_path / "gone").write_bytes(b"x")
    (tmp_path / "out").symlink_to("/etc/passwd")
    view = survey(tmp_path)
    (tmp_path / "gone").unlink()
    surfaces: list[Surface] = []
    assert hash_all(view.entries, surfaces) == ()
    assert [(surface.path, surface.state) for surface in surfaces] == [
        ("gone", "skipped"),
        ("out", "skipped"),
    ]


class _Far:
    name, local = "far", False

    def __init__(self, data: bytes | None, size: int) -> None:
        self.data, self.size = data, size

    def read_at(self, offset: int, length: int) -> bytes:
        assert self.data is not None, "the bulk of a file on a hub is not read"
        return self.data[offset : offset + length]


def far(path: str, data: bytes | None, size: int, sha256: str | None) -> Entry:
    source: ByteSource = _Far(data, size)
    return Entry(path, size, "other", lambda: source, sha256=sha256)


def test_on_a_hub_its_digest_is_taken_and_only_small_files_are_read() -> None:
    surfaces: list[Surface] = []
    entries = [
        far("lfs", None, 5, "ab" * 32), far("small", b"x" * 7, 7, None), far("large", None, MOST_FETCHED + 1, None),
    ]  # fmt: skip
    assert hash_all(entries, surfaces) == (
        FileDigest("lfs", 5, "ab" * 32),
        FileDigest("small", 7, hashlib.sha256(b"x" * 7).hexdigest()),
    )
    assert [surface.path for surface in surfaces] == ["large"]


class _Slow:
    """A file whose second half comes when somebody has seen the first."""

    name, local, size = "slow", True, 2 * CHUNK

    def __init__(self, go_on: threading.Event) -> None:
        self.go_on = go_on

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset < CHUNK or self.go_on.wait(20)
        return bytes(min(length, self.size - offset))


def test_how_much_of_a_large_file_is_hashed_is_told_while_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "TOLD_EVERY_S", 0.01)
    go_on = threading.Event()
    told: list[tuple[str, int, int]] = []

    def progress(path: str, done: int, total: int) -> None:
        told.append((path, done, total))
        if "50 %" in path:
            go_on.set()

    source: ByteSource = _Slow(go_on)
    (digest,) = hash_all([Entry("slow", source.size, "other", lambda: source)], [], progress)
    assert digest.sha256 == hashlib.sha256(bytes(2 * CHUNK)).hexdigest()
    assert ("slow, 50 % hashed", 0, 1) in told
    assert told[-1] == ("slow", 1, 1)


def test_files_are_hashed_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "available_threads", lambda: 2)
    together = threading.Barrier(2, timeout=20)

    class Meeting:
        name, local, size = "m", True, 5

        def read_at(self, offset: int, length: int) -> bytes:
            together.wait()  # broken, and an error, unless both are read at once
            return b"x" * self.size

    source: ByteSource = Meeting()
    entries = [Entry(name, source.size, "other", lambda: source) for name in "ab"]
    assert [digest.path for digest in hash_all(entries, [])] == ["a", "b"]
