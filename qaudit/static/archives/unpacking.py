"""Bytes out of members and compressed files, a bounded number of them, kept in memory only."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from qaudit.static.archives.archive_walk import BZIP2, DEFLATED, LZMA, STORED, Member
from qaudit.static.byte_source import ByteSource

CHUNK: Final = 1 << 14  # small, so that how much of it was taken tells a bomb
MAX_LZMA_MEMORY: Final = 16 << 20


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The first bytes of something packed.

    Attributes:
        data: at most as many as were asked for.
        complete: whether that is all of it.
        crc: of `data`.
        consumed: how many packed bytes it took.
        problem: why no more could be had; empty where there was none.
    """

    data: bytes
    complete: bool
    crc: int
    problem: str = ""
    consumed: int = 0


def unpack_member(source: ByteSource, member: Member, limit: int) -> Unpacked:
    """Return the first bytes of a zip's or tar's member.

    Its flags are not believed: data that is said to be encrypted and is not comes out all the same, and
    where the two headers name different methods the other one is tried too.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    first = _by_method(source, member, member.method, limit)
    if member.local_method is None or (first.data and not first.problem and member.crc in (None, first.crc)):
        return first
    other = _by_method(source, member, member.local_method, limit)
    return other if other.data and not other.problem else first


def unpack_stream(source: ByteSource, format: str, limit: int) -> Unpacked:
    """Return the first bytes of a file that is compressed as a whole.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    makers: dict[str, Callable[[], _Decompressor]] = {
        "gzip": lambda: _Zlib(31),
        "zlib": lambda: _Zlib(15),
        "bzip2": bz2.BZ2Decompressor,
        "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_LZMA_MEMORY),
        "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, MAX_LZMA_MEMORY),
    }
    if format not in makers:
        return Unpacked(b"", False, 0, f"{format} is not unpacked here")
    return _inflate(source, 0, source.size, makers[format](), limit)


def can_unpack(format: str) -> bool:
    """Return whether files compressed so can be looked into."""
    return format in ("gzip", "zlib", "bzip2", "xz", "lzma")


def _by_method(source: ByteSource, member: Member, method: int, limit: int) -> Unpacked:
    if method == STORED:
        data = source.read_at(member.at, min(member.packed, limit))
        short = "ends before it should" if len(data) < min(member.packed, limit) else ""
        return Unpacked(data, member.packed <= limit, zlib.crc32(data), short)
    if method == DEFLATED:
        return _inflate(source, member.at, member.packed, _Zlib(-15), limit)
    if method == BZIP2:
        return _inflate(source, member.at, member.packed, bz2.BZ2Decompressor(), limit)
    if method == LZMA:
        return _zip_lzma(source, member, limit)
    return Unpacked(b"", False, 0, f"compression method {method} is not unpacked here")


def _zip_lzma(source: ByteSource, member: Member, limit: int) -> Unpacked:
    head = source.read_at(member.at, 9)
    if len(head) < 9 or int.from_bytes(head[2:4], "little") != 5:
        return Unpacked(b"", False, 0, "its LZMA header is malformed")
    dictionary = int.from_bytes(head[5:9], "little")
    if dictionary > MAX_LZMA_MEMORY or head[4] >= 9 * 5 * 5:
        return Unpacked(b"", False, 0, f"asks for a dictionary of {dictionary} bytes")
    lc, rest = head[4] % 9, head[4] // 9
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": rest % 5, "pb": rest // 5}]
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    except (lzma.LZMAError, ValueError) as error:
        return Unpacked(b"", False, 0, str(error))
    return _inflate(source, member.at + 9, member.packed - 9, decompressor, limit)


class _Zlib:
    """zlib behind the interface that the other two have."""

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        # what the last call had no room for goes first
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _inflate(
    source: ByteSource, start: int, length: int, decompressor: _Decompressor, limit: int
) -> Unpacked:
    """Decompress until `limit` bytes are there, the data ends, or it turns out to be broken."""
    parts: list[bytes] = []
    got, at, stop, problem, idle = 0, start, min(source.size, start + max(0, length)), "", 0
    try:
        while got < limit and not getattr(decompressor, "eof", False):
            packed = (
                source.read_at(at, min(CHUNK, stop - at)) if at < stop and not _waits(decompressor) else b""
            )
            at += len(packed)
            part = decompressor.decompress(packed, limit - got)
            parts.append(part)
            got += len(part)
            idle = idle + 1 if not part and not packed else 0
            if idle > 1:
                problem = "ends before it should"
                break
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        problem = f"does not unpack ({error})"
    data = b"".join(parts)
    return Unpacked(data, bool(getattr(decompressor, "eof", False)), zlib.crc32(data), problem, at - start)


def _waits(decompressor: _Decompressor) -> bool:
    """Return whether there is output left of what was put in."""
    return getattr(decompressor, "needs_input", True) is False
