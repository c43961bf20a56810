import hashlib
import os
from pathlib import Path

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
