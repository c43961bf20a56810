import os
import threading
from pathlib import Path

import pytest
from release_kit import make_folder_checkpoint, sha256

from qaudit.attest import hashing_ahead, manifest
from qaudit.attest.hashing_ahead import HashingAhead
from qaudit.attest.manifest import Entry, hash_files, list_files
from qaudit.errors import InputError
from qaudit.values import FileDigest

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # the tests' files are as old as those of a real checkpoint
    monkeypatch.setattr(hashing_ahead, "SETTLED_NS", -HOUR_NS)
    made = make_folder_checkpoint(tmp_path)
    # the disk's times move in steps: what a test writes from now on has other ones
    newest = max(path.stat().st_ctime_ns for path in made.rglob("*"))
    probe = tmp_path / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= newest:
        probe.touch()
    probe.unlink()
    return made


def hashed_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which files are hashed in the gate's own place."""
    names: list[str] = []
    plain = manifest._hash

    def noted(entry: Entry, on_read: object) -> FileDigest:
        names.append(entry.name)
        return plain(entry, on_read)  # type: ignore[arg-type]

    monkeypatch.setattr(manifest, "_hash", noted)
    return names


def test_what_was_hashed_ahead_is_not_hashed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "empty").write_bytes(b"")
    names = hashed_anew(monkeypatch)
    entries = list_files(folder)
    with HashingAhead(folder) as ahead:
        digests = hash_files(entries, ahead=ahead.telling(None))
    assert names == []
    assert digests == hash_files(entries)
    assert {d.path: d.sha256 for d in digests} == {
        entry.name: sha256(entry.path.read_bytes()) for entry in entries
    }


@pytest.mark.parametrize("change", ["written", "replaced", "touched", "new"])
def test_a_file_that_is_another_by_now_is_hashed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    names = hashed_anew(monkeypatch)
    with HashingAhead(folder) as ahead:
        taken = ahead.telling(None)
        # each has been hashed when this returns
        assert all(taken(entry) is not None for entry in list_files(folder))
        path = folder / "config.json"
        before = path.read_bytes()
        if change == "written":
            path.write_bytes(before[::-1])
        elif change == "replaced":
            (folder.parent / "other").write_bytes(before[::-1])
            (folder.parent / "other").replace(path)
        elif change == "touched":
            os.utime(path, ns=(1, 1))
        else:
            path = folder / "new.json"
            path.write_bytes(b"{}")
        entries = list_files(folder)
        digests = hash_files(entries, ahead=ahead.telling(None))
    assert names == [path.name]
    found = next(digest for digest in digests if digest.path == path.name)
    assert found.sha256 == sha256(path.read_bytes())


def test_a_file_written_just_before_is_hashed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is written again within a step of the disk's clock has the same times."""
    monkeypatch.setattr(hashing_ahead, "SETTLED_NS", HOUR_NS)
    names = hashed_anew(monkeypatch)
    entries = list_files(folder)
    told: list[int] = []
    with HashingAhead(folder) as ahead:
        hash_files(entries, on_read=told.append, ahead=ahead.telling(told.append))
    assert sorted(names) == sorted(entry.name for entry in entries)
    # it was not even begun before
    assert sum(told) == sum(entry.path.stat().st_size for entry in entries)


def test_a_file_written_while_it_is_hashed_and_dated_back_is_hashed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "config.json"
    first = path.stat()
    other = path.read_bytes()[::-1]
    ahead = HashingAhead(folder)

    def change(_: int) -> None:
        if path.read_bytes() != other:
            path.write_bytes(other)
            os.utime(path, ns=(first.st_atime_ns, first.st_mtime_ns))

    ahead.telling(change)
    with ahead:
        digests = hash_files(list_files(folder), ahead=ahead.telling(change))
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    found = next(digest for digest in digests if digest.path == path.name)
    assert found.sha256 == sha256(other)


def test_what_cannot_be_listed_or_read_is_left_to_the_gate(folder: Path) -> None:
    with HashingAhead(folder / "missing") as ahead:
        assert ahead.telling(None)(Entry("x", folder / "x")) is None
    entries = list_files(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/etc/hostname")
    with HashingAhead(folder) as ahead, pytest.raises(InputError, match=r"config\.json: cannot be read"):
        hash_files(entries, ahead=ahead.telling(None))


def test_every_byte_is_told_once_those_read_before_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing_ahead, "CHUNK", 1000)
    (folder / "large").write_bytes(bytes(10_500))
    entries = list_files(folder)
    told: list[int] = []
    with HashingAhead(folder) as ahead:
        assert all(ahead._digest(entry) is not None for entry in entries)
        hash_files(entries, on_read=told.append, ahead=ahead.telling(told.append))
    assert sum(told) == sum(entry.path.stat().st_size for entry in entries)
    told.clear()
    with HashingAhead(folder) as ahead:
        hash_files(entries, on_read=told.append, ahead=ahead.telling(told.append))
    assert sum(told) == sum(entry.path.stat().st_size for entry in entries)


def test_at_the_end_what_is_not_done_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing_ahead, "CHUNK", 10)
    monkeypatch.setattr(manifest, "THREADS", 1)
    (folder / "large").write_bytes(bytes(1000))
    reading = threading.Event()
    read: list[int] = []
    ahead = HashingAhead(folder)

    def told(count: int) -> None:
        read.append(count)
        reading.set()
        # nothing but the first piece is read until the block ends
        ahead._stop.wait(60)

    def refused() -> None:
        with ahead:
            reading.wait(60)
            raise InputError("refused")

    ahead.telling(told)
    with pytest.raises(InputError, match="refused"):
        refused()
    assert len(read) == 1


def test_nothing_was_begun_outside_of_the_block(folder: Path) -> None:
    assert HashingAhead(folder).telling(None)(list_files(folder)[0]) is None
