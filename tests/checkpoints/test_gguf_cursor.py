"""The cursor alone: bounds, caps, text, numbers, the fast path for vocabularies."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks.gguf_builder import ARRAY, BOOL, F32, FORMATS, I32, STRING, U8, array, string
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints import gguf_cursor
from qaudit.checkpoints.gguf_cursor import MAX_ARRAY, MAX_HEADER, MAX_KEY, MAX_STRING, GgufCursor
from qaudit.errors import LimitExceeded, MalformedFile

PATH = Path("model.gguf")


def cursor(raw: bytes) -> GgufCursor:
    return GgufCursor(PATH, io.BytesIO(raw))


def strings(items: list[Any]) -> bytes:
    return array(STRING, items)


class Endless(io.BytesIO):
    """Claims a size without having the bytes, as a sparse file does."""

    def __init__(self, start: bytes, size: int) -> None:
        super().__init__(start)
        self.claimed = size

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.claimed if whence == 2 else super().seek(offset, whence)


def test_take_reads_to_the_last_byte_and_not_one_further() -> None:
    reading = cursor(b"abcd")
    assert reading.take(4) == b"abcd"
    assert reading.remaining == 0
    with pytest.raises(MalformedFile, match="truncated: 1 bytes wanted at byte 4, 0 left"):
        reading.take(1)


def test_take_refuses_a_header_over_the_cap_before_reading() -> None:
    reading = GgufCursor(PATH, Endless(b"x", MAX_HEADER * 4))
    with pytest.raises(LimitExceeded, match="the header goes on past"):
        reading.take(MAX_HEADER + 1)
    assert reading.offset == 0


def test_a_file_that_shrinks_while_it_is_read() -> None:
    with pytest.raises(MalformedFile, match="shrank while it was read, at byte 0"):
        GgufCursor(PATH, Endless(b"ab", 100)).take(50)


def test_numbers() -> None:
    reading = cursor(b"\xff\xff\xff\xff" + b"\xfe" + b"\xff" * 7)
    assert reading.u32() == 0xFFFFFFFF
    assert reading.u64() == 0xFFFFFFFFFFFFFFFE


@pytest.mark.parametrize("length", [5, 1 << 31, 1 << 63, (1 << 64) - 1])
def test_a_string_longer_than_the_file(length: int) -> None:
    with pytest.raises(
        MalformedFile, match=f"length of a string at byte 0 is {length}, more than the 4 bytes"
    ):
        cursor(string(b"abcd", length)).text()


@pytest.mark.parametrize(("cap", "read"), [(MAX_STRING, "text"), (MAX_KEY, "key")])
def test_a_string_over_its_cap_is_refused_before_it_is_read(cap: int, read: str) -> None:
    source = Endless(struct.pack("<Q", cap + 1), cap + 1000)
    with pytest.raises(LimitExceeded, match=f"over the cap of {cap}"):
        getattr(GgufCursor(PATH, source), read)()
    assert source.tell() == 8


@pytest.mark.parametrize(
    "key", [b"", b"a\0b", b"\0", b"key\n", b"two words", b"tab\t", "schlüssel".encode(), b"\xff", b"a\x7f"]
)
def test_keys_that_loaders_would_read_differently(key: bytes) -> None:
    with pytest.raises(MalformedFile, match="key at byte 0 is empty or not printable ASCII"):
        cursor(string(key)).key()


@pytest.mark.parametrize("key", ["general.architecture", "A-B_c.9", "!", "k" * MAX_KEY])
def test_keys_that_are_fine(key: str) -> None:
    assert cursor(string(key)).key() == key


def test_text_keeps_bytes_that_are_not_utf8() -> None:
    raw = b"ok\xff\xc3\xa9"
    value = cursor(string(raw)).text()
    assert value == "ok\udcffé"
    assert value.encode("utf-8", errors="surrogateescape") == raw


@pytest.mark.parametrize("kind", [k for k in FORMATS if k != BOOL])
def test_scalars_at_both_ends_of_their_range(kind: int) -> None:
    size = struct.calcsize(FORMATS[kind])
    for raw in (b"\0" * size, b"\x01" + b"\0" * (size - 1), b"\xff" * size, b"\0" * (size - 1) + b"\x80"):
        (expected,) = struct.unpack("<" + FORMATS[kind], raw)
        value = cursor(raw).value(kind)
        assert type(value) is type(expected)
        assert value == expected or (value != value and expected != expected)


@pytest.mark.parametrize("raw", [b"\2", b"\xff"])
def test_a_bool_that_is_neither(raw: bytes) -> None:
    with pytest.raises(MalformedFile, match="a bool at byte 0 is neither 0 nor 1"):
        cursor(raw).value(BOOL)
    with pytest.raises(MalformedFile, match="a bool at byte 12"):
        cursor(array(BOOL, [b"\1", raw, b"\0"])).value(ARRAY)


def test_a_bool_is_a_bool() -> None:
    assert cursor(b"\1").value(BOOL) is True
    assert cursor(b"\0").value(BOOL) is False


@pytest.mark.parametrize("kind", [13, 14, 255, 0xFFFFFFFF])
def test_unknown_types(kind: int) -> None:
    with pytest.raises(MalformedFile, match=f"unknown metadata type {kind}"):
        cursor(bytes(64)).value(kind)
    with pytest.raises(MalformedFile, match=f"unknown array type {kind}"):
        cursor(struct.pack("<IQ", kind, 1) + bytes(64)).value(ARRAY)


def test_arrays_of_arrays_are_refused_at_any_depth() -> None:
    deep = struct.pack("<IQ", ARRAY, 1) * 5000
    with pytest.raises(MalformedFile, match="array of arrays at byte 0"):
        cursor(deep).value(ARRAY)


@pytest.mark.parametrize("kind", [U8, I32, F32, STRING])
@pytest.mark.parametrize("count", [9, 1 << 40, (1 << 64) - 1, (1 << 61) + 1])
def test_an_array_that_the_file_cannot_hold(kind: int, count: int) -> None:
    # (1 << 61) + 1 times 8 wraps to 8 in 64 bits
    with pytest.raises(
        MalformedFile, match=f"length of an array at byte 4 is {count}, more than the 8 bytes"
    ):
        cursor(struct.pack("<IQ", kind, count) + bytes(8)).value(ARRAY)


def test_an_array_over_the_cap() -> None:
    source = Endless(array(U8, [], MAX_ARRAY + 1), MAX_ARRAY * 2)
    with pytest.raises(LimitExceeded, match=f"over the cap of {MAX_ARRAY}"):
        GgufCursor(PATH, source).value(ARRAY)


def test_many_arrays_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_cursor, "MAX_ARRAY", 10)
    reading = cursor(strings(["a"] * 6) * 2)
    assert reading.value(ARRAY) == ["a"] * 6
    with pytest.raises(LimitExceeded, match="its arrays have more than 10 elements"):
        reading.value(ARRAY)


def test_number_arrays_come_as_numpy() -> None:
    value = cursor(array(I32, [1, -2, 3])).value(ARRAY)
    assert value.dtype == np.int32
    assert value.tolist() == [1, -2, 3]
    assert cursor(array(F32, [])).value(ARRAY).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(st.binary(max_size=40), max_size=200),
    long=st.sampled_from([0, 65_000, 65_536, 70_000, 200_000]),
    place=st.integers(0, 200),
)
def test_string_arrays_of_any_shape(items: list[bytes], long: int, place: int) -> None:
    # the long one does not fit into the window that the fast path reads
    items = [*items[:place], b"\xe2\x82\xac" * (long // 3), *items[place:]]
    reading = cursor(strings(items) + b"\7")
    value = reading.value(ARRAY)
    assert [v.encode("utf-8", errors="surrogateescape") for v in value] == items
    assert reading.value(U8) == 7


@pytest.mark.parametrize("bad", [0, 63, 100, 4999])
@pytest.mark.parametrize("length", [1 << 20, 1 << 63])
def test_a_lying_string_deep_in_an_array(bad: int, length: int) -> None:
    items = [string(f"token {i}") for i in range(5000)]
    at = 12 + sum(len(item) for item in items[:bad])
    items[bad] = string("x", length)
    lying = struct.pack("<IQ", STRING, len(items)) + b"".join(items)
    with pytest.raises(MalformedFile, match=f"length of a string at byte {at} is {length}, more than"):
        cursor(lying).value(ARRAY)


def test_a_string_array_cut_off_at_any_byte() -> None:
    whole = strings([f"t{i}" for i in range(100)])
    for end in range(12, len(whole)):
        with pytest.raises(MalformedFile):
            cursor(whole[:end]).value(ARRAY)


def test_the_header_cap_holds_inside_a_string_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_cursor, "MAX_HEADER", 1000)
    with pytest.raises(LimitExceeded, match="the header goes on past 1000 bytes"):
        cursor(strings(["abcd"] * 500)).value(ARRAY)
