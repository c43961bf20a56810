import gc
from pathlib import Path

from qaudit.static.byte_source import LocalBytes
from qaudit.static.vocabulary import json_text
from qaudit.static.vocabulary.json_text import read_text


def read(path: Path, raw: bytes) -> json_text.Text:
    path.write_bytes(raw)
    with LocalBytes(path) as source:
        return read_text(source, 1 << 20)


def test_an_object_is_read(tmp_path: Path) -> None:
    text = read(tmp_path / "t.json", b'{"a": [1, 2]}')
    assert text.record == {"a": [1, 2]}
    assert text.why == ""


def test_what_is_too_long_is_not_read(tmp_path: Path) -> None:
    text = read(tmp_path / "t.json", b" " * (1 << 20) + b"1")
    assert "longer than" in text.why
    assert text.record == {}


def test_what_is_no_json_says_why(tmp_path: Path) -> None:
    assert "not JSON" in read(tmp_path / "t.json", b"{").why
    assert read(tmp_path / "t.json", b"[" * 100_000).why


def test_more_objects_than_memory_has_room_for_are_not_made(tmp_path: Path) -> None:
    with LocalBytes(_many(tmp_path / "t.json")) as source:
        assert "objects" in read_text(source).why


def _many(path: Path) -> Path:
    path.write_bytes(b"[" + b"{}," * (json_text.MAX_CONTAINERS + 1) + b"0]")
    return path


def test_collecting_goes_on_afterwards(tmp_path: Path) -> None:
    read(tmp_path / "t.json", b"[[]]")
    assert gc.isenabled()
