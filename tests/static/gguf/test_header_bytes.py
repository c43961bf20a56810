import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.gguf import header_bytes
from qaudit.static.gguf.header_bytes import Beginning, HeaderBytes, HeaderEnds, called


class Memory:
    """A source in memory that counts what is read of it."""

    name, local = "model.gguf", True

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.read = data, len(data), 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = self.data[offset : offset + length]
        self.read += len(data)
        return data


@given(st.binary(max_size=400), st.lists(st.integers(0, 60), max_size=12), st.integers(1, 64))
def test_gives_the_bytes_in_their_order_whatever_the_window(
    data: bytes, lengths: list[int], chunk: int
) -> None:
    header = HeaderBytes(Memory(data))
    header._chunk = chunk
    at = 0
    for length in lengths:
        if at + length > len(data):
            with pytest.raises(HeaderEnds) as ended:
                header.take(length, "it")
            assert (ended.value.code, ended.value.offset) == ("truncated", at)
            return
        assert header.take(length, "it") == data[at : at + length]
        at += length
        assert (header.at, header.remaining) == (at, len(data) - at)


@given(st.lists(st.binary(max_size=80), max_size=30), st.integers(1, 64), st.sampled_from([4, 8]))
def test_strings_are_found_in_windows_of_any_size(texts: list[bytes], chunk: int, prefix: int) -> None:
    data = b"".join(len(text).to_bytes(prefix, "little") + text for text in texts) + b"next"
    header = HeaderBytes(Memory(data))
    header._chunk, header.prefix = chunk, prefix
    strings = header.strings(len(texts), 1 << 20, "it")
    assert list(strings) == texts
    assert list(strings.with_nul()) == [i for i, text in enumerate(texts) if b"\0" in text]
    assert header.take(4, "what follows") == b"next"


def test_numbers_in_both_byte_orders() -> None:
    header = HeaderBytes(Memory(struct.pack("<IQ", 7, 8) + struct.pack(">IQ", 7, 8)))
    assert header.numbers("IQ", "both") == (7, 8)
    header.swap()
    assert header.numbers("IQ", "both") == (7, 8)


def test_skipping_reads_nothing() -> None:
    source = Memory(bytes(5_000_000) + b"end")
    header = HeaderBytes(source)
    header.skip(5_000_000, "zeros")
    assert header.take(3, "the end") == b"end"
    assert source.read <= 3
    with pytest.raises(HeaderEnds, match="takes 1 bytes, the file ends after 0"):
        header.skip(1, "more")


def test_a_string_past_the_end_is_told_with_its_place() -> None:
    header = HeaderBytes(Memory(struct.pack("<Q", 1) + b"a" + struct.pack("<Q", 99) + b"b"))
    with pytest.raises(HeaderEnds, match="leads past the end") as ended:
        header.strings(2, 1 << 20, b"some.key")
    assert (ended.value.code, ended.value.offset) == ("string-length", 9)


def test_a_budget_ends_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_bytes, "MAX_READ", 100)
    header = HeaderBytes(Memory(bytes(1000)))
    header.take(90, "it")
    with pytest.raises(HeaderEnds, match="over 0 MB") as ended:
        header.take(90, "it")
    assert ended.value.code == "limit"
    with pytest.raises(HeaderEnds, match="takes more than 10 bytes"):
        HeaderBytes(Memory(struct.pack("<Q", 50) + bytes(50))).strings(1, 10, "it")


def test_a_beginning_ends_where_it_should() -> None:
    source = Beginning(Memory(b"0123456789"), 4)
    assert (source.size, source.name, source.local) == (4, "model.gguf", True)
    assert source.read_at(2, 100) == b"23"
    assert source.read_at(7, 2) == b""


def test_values_are_called_by_their_key() -> None:
    assert called(b"a.b") == "the value of a.b"
    assert called("the magic") == "the magic"
