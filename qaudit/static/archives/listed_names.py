"""Names that a 7z or RAR archive lists, without unpacking what they name.

Formats: https://7-zip.org/7z.html (7zFormat.txt) and https://www.rarlab.com/technote.htm. What cannot be
followed gives no more names: such an archive is told as one that was not looked into, whatever it lists.
"""

import lzma
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from qaudit.static.byte_source import ByteSource

MOST_NAMES: Final = 1000
MOST_BLOCKS, MOST_REQUESTS = 4000, 32  # of a RAR
MOST_HEADER: Final = 2 << 20  # bytes of a 7z's list of files, packed and unpacked
_BLOCK: Final = 1 << 16  # bytes of a RAR's block that are read
_MOST_TRIED: Final = 64  # places of a 7z's header where a list of names may begin
_RAR5, _RAR4 = b"Rar!\x1a\7\1\0", b"Rar!\x1a\7\0"
_MAX_DICTIONARY: Final = 16 << 20
_LZMA, _LZMA2 = b"\3\1\1", b"\x21"
_ENCODED_HEADER, _PACK, _SIZES, _FOLDERS, _LENGTHS, _NAMES = 0x17, 0x06, 0x09, 0x0B, 0x0C, 0x11
_BROKEN = (ValueError, IndexError, struct.error, lzma.LZMAError, EOFError, MemoryError)


def listed_names(source: ByteSource, content: str) -> list[str]:
    """Return the first names that an archive lists; none where it is of another format or hides them.

    Args:
        source: the archive.
        content: `7z` or `rar`, as its first bytes say.

    Raises:
        InputError: it cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    found: list[str] = []
    names = _of_7z(source) if content == "7z" else _of_rar(source) if content == "rar" else iter(())
    try:
        for name in islice(names, MOST_NAMES):
            found.append(name)
    except _BROKEN:
        pass
    return found


def _of_rar(source: ByteSource) -> Iterator[str]:
    head = source.read_at(0, min(source.size, 8))
    at, block = (8, _rar5_block) if head == _RAR5 else (7, _rar4_block) if head[:7] == _RAR4 else (0, None)
    # of a hub each block is a request
    for _ in range(MOST_BLOCKS if source.local else MOST_REQUESTS):
        if block is None or at >= source.size:
            return
        name, length = block(source.read_at(at, min(_BLOCK, source.size - at)))
        if name:
            yield name
        if length <= 0:
            return
        at += length


def _rar5_block(data: bytes) -> tuple[str, int]:
    """Return the name in a file's block, and how long a block is with its data; 0 at the end."""
    reader = _Numbers(data, 4)
    size = reader.variable()
    end = reader.at + size
    kind, flags = reader.variable(), reader.variable()
    if flags & 1:
        reader.variable()
    packed = reader.variable() if flags & 2 else 0
    name = ""
    if kind == 2:
        of_file = reader.variable()
        reader.variable(), reader.variable()
        reader.at += 4 * bool(of_file & 2) + 4 * bool(of_file & 4)
        reader.variable(), reader.variable()
        length = reader.variable()
        name = data[reader.at : min(reader.at + length, end)].decode("utf-8", "backslashreplace")
    # after the end of the archive, or where all that follows is encrypted, there is nothing to read
    return name, 0 if kind in (4, 5) or size == 0 else end + packed


def _rar4_block(data: bytes) -> tuple[str, int]:
    kind, flags, size = struct.unpack("<BHH", data[2:7])
    packed = int.from_bytes(data[7:11], "little") if flags & 0x8000 or kind == 0x74 else 0
    name = ""
    if kind == 0x74:
        (length,) = struct.unpack("<H", data[26:28])
        start = 40 if flags & 0x100 else 32
        packed |= int.from_bytes(data[32:36], "little") << 32 if flags & 0x100 else 0
        plain, _, coded = data[start : min(start + length, size)].partition(b"\0")
        # different names of an old code page are to stay different
        name = plain.decode("utf-8", "backslashreplace")
        if flags & 0x200 and coded:
            name = _rar4_name(plain, coded)
    encrypted = kind == 0x73 and flags & 0x80
    return name, 0 if kind == 0x7B or encrypted or size < 7 else size + packed


def _rar4_name(plain: bytes, coded: bytes) -> str:
    """Return the name that programs use which know Unicode; the other one may say anything.

    Two bits each say how the next letters are written: a byte, a byte below the common high one, two bytes,
    or so many as in the plain name.
    """
    reader = _Numbers(coded, 1)
    high, units = coded[0] << 8, list[int]()
    while reader.at < len(coded):
        ways = reader.byte()
        for shift in (6, 4, 2, 0):
            if reader.at >= len(coded):
                break
            way, first = ways >> shift & 3, reader.byte()
            if way < 3:
                units.append(first | (0, high, reader.byte() << 8 if way == 2 else 0)[way])
                continue
            correction = reader.byte() if first & 128 else 0
            above = high if first & 128 else 0
            for _ in range((first & 127) + 2):
                units.append(plain[len(units)] + correction & 255 | above)
    return struct.pack(f"<{len(units)}H", *units).decode("utf-16-le", "backslashreplace")


def _of_7z(source: ByteSource) -> Iterator[str]:
    offset, size = struct.unpack("<QQ", source.read_at(12, 16))
    header = _at(source, 32 + offset, size)
    for _ in range(4):  # a packed header may be packed again
        if header[:1] != bytes([_ENCODED_HEADER]):
            break
        header = _unpacked_header(source, header)
    yield from _names_of_7z(header)


def _at(source: ByteSource, at: int, size: int) -> bytes:
    if size > MOST_HEADER or at + size > source.size:
        raise ValueError("the header is not in the file")
    return source.read_at(at, size)


def _unpacked_header(source: ByteSource, header: bytes) -> bytes:
    """Unpack a header that is packed by one coder, as 7-Zip packs them."""
    reader = _Numbers(header, 1)
    reader.expect(_PACK)
    position, streams = reader.number(), reader.number()
    reader.expect(_SIZES)
    packed = [reader.number() for _ in range(min(streams, 4))]
    while reader.byte() != _FOLDERS:  # the end of one part and the beginning of the next
        pass
    folders, external, coders, flags = reader.number(), reader.byte(), reader.number(), reader.byte()
    if folders != 1 or external or coders != 1 or flags & 0x10:
        raise ValueError("packed in a way that headers are not")
    coder = reader.take(flags & 15)
    properties = reader.take(reader.number()) if flags & 0x20 else b""
    reader.expect(_LENGTHS)
    length = reader.number()
    if length > MOST_HEADER:
        raise ValueError("the header is too long")
    data = _at(source, 32 + position, packed[0])
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_filter(coder, properties)]).decompress(
        data, length
    )


def _filter(coder: bytes, properties: bytes) -> dict[str, Any]:
    if coder == _LZMA:
        first = properties[0]
        size = int.from_bytes(properties[1:5], "little")
        packing: dict[str, Any] = {
            "id": lzma.FILTER_LZMA1, "lc": first % 9, "lp": first // 9 % 5, "pb": first // 45,
        }  # fmt: skip
    elif coder == _LZMA2:
        bits = properties[0]
        packing, size = {"id": lzma.FILTER_LZMA2}, (2 | bits & 1) << (bits // 2 + 11)
    else:
        raise ValueError("packed by something else than LZMA")
    return {**packing, "dict_size": max(4096, min(size, _MAX_DICTIONARY))}


def _names_of_7z(header: bytes) -> Iterator[str]:
    """Give the list of names, found by its shape: what stands before it says only how the data are packed."""
    at = header.find(_NAMES)
    for _ in range(_MOST_TRIED):
        if at < 0:
            return
        reader = _Numbers(header, at + 1)
        size = reader.number()
        text = header[reader.at + 1 : reader.at + size]
        # not kept elsewhere, whole, each name with its end
        if header[reader.at : reader.at + 1] == b"\0" and 0 < len(text) == size - 1 and text[-2:] == b"\0\0":
            names = text.decode("utf-16-le", "backslashreplace").split("\0")[:-1]
            if all(names):
                yield from names
                return
        at = header.find(_NAMES, at + 1)


class _Numbers:
    """Reads the numbers of both formats; past the end it raises IndexError."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def expect(self, wanted: int) -> None:
        if self.byte() != wanted:
            raise ValueError("another part than was expected")

    def take(self, length: int) -> bytes:
        self.at += length
        if self.at > len(self.data):
            raise IndexError("the header ends within it")
        return self.data[self.at - length : self.at]

    def variable(self) -> int:
        """RAR's: seven bits a byte, the last without the highest bit."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number has no end")

    def number(self) -> int:
        """7z's: leading ones of the first byte say how many follow; its other bits are the highest."""
        first = self.byte()
        follow = next((n for n in range(8) if not first & 128 >> n), 8)
        high = first & (127 >> follow) if follow < 8 else 0
        return int.from_bytes(self.take(follow), "little") | high << 8 * follow
