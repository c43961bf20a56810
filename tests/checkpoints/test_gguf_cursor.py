import io
import struct
from pathlib import Path

import pytest
from qaudit.checkpoints import gguf_cursor
from qaudit.checkpoints.gguf_cursor import GgufCursor
from qaudit.errors import LimitExceeded, MalformedFile


def cursor(data: bytes) -> GgufCursor:
    return GgufCursor(Path("x.gguf"), io.BytesIO(data))


def test_numbers_and_offsets() -> None:
    reading = cursor(struct.pack("<IQ", 7, 1 << 40))
    assert (reading.u32(), reading.u64(), reading.offset, reading.remaining) == (7, 1 << 40, 12, 0)


def test_never_past_the_end() -> None:
    with pytest.raises(MalformedFile, match="4 bytes wanted at byte 0, 3 left"):
        cursor(b"abc").u32()


def test_never_past_the_header_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_cursor, "MAX_HEADER", 10)
    with pytest.raises(LimitExceeded, match="goes on past 10 bytes"):
        cursor(b"a" * 100).take(11)


def test_a_file_that_shrinks_while_it_is_read() -> None:
    stream = io.BytesIO(b"a" * 100)
    reading = GgufCursor(Path("x.gguf"), stream)
    stream.truncate(4)
    with pytest.raises(MalformedFile, match="shrank"):
        reading.take(8)


def test_text_keeps_bytes_that_are_not_utf8() -> None:
    raw = b"a\xffb"
    text = cursor(struct.pack("<Q", 3) + raw).text()
    assert text.encode("utf-8", "surrogateescape") == raw


def test_string_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_cursor, "MAX_STRING", 2)
    with pytest.raises(LimitExceeded, match="over the cap of 2"):
        cursor(struct.pack("<Q", 3) + b"abc").text()
