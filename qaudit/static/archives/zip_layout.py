"""A zip's directory and what it says of each member, held against the headers beside the data.

Loaders differ in which of the two they believe, and none looks between the members; so both are read,
in our own reader, which does not give up where the first checksum or name is wrong.
"""

import bisect
import struct
from dataclasses import dataclass
from typing import Final

from qaudit.static.archives.archive_walk import ArchiveWalk, Member, MemberKind
from qaudit.static.byte_source import ByteSource
from qaudit.static.kinds import content_of

MAX_MEMBERS: Final = 50_000
MAX_DIRECTORY: Final = 16 << 20
MAX_COMPARED: Final = 20_000  # headers beside the data
MAX_GAP: Final = 1 << 16  # read of each gap between members
LONGEST_TAIL: Final = 65_557  # end record and comment
_ENTRY: Final = b"PK\x01\x02"
_END: Final = struct.Struct("<4s4H2LH")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_UNIX: Final = 3
_LINK, _FOLDER, _FILE = 0o120000, 0o040000, 0o100000


@dataclass(frozen=True, slots=True)
class _Directory:
    """Where a zip's directory is.

    Attributes:
        start: of its first entry, with `length` and the `count` of entries that it should have.
        shift: what its offsets lack where something was put before the zip.
        end: of the zip.
        others: where further end records, or another directory, are.
    """

    start: int
    length: int
    count: int
    shift: int
    end: int
    others: tuple[int, ...]


def walk_zip(source: ByteSource) -> ArchiveWalk:
    """Read a zip's directory and headers; never raises for what is in them.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    walk = ArchiveWalk(source.name, source.size, "zip")
    found = _directory(source, walk)
    if found is None:
        _without_directory(source, walk)
        return walk
    spans = sorted(_members(source, walk, found))
    starts = [start for start, _ in spans]
    for place in found.others:
        # a zip that is a member has its own
        before = bisect.bisect_right(starts, place) - 1
        if before < 0 or place >= spans[before][1]:
            walk.fault("two-directories", f"{walk.name}@byte {place}", "another directory, or end of one")
    _between(source, walk, spans, found.start, found.end)
    return walk


def _directory(source: ByteSource, walk: ArchiveWalk) -> _Directory | None:
    base = max(0, source.size - LONGEST_TAIL)
    tail = source.read_at(base, source.size - base)
    ends: list[int] = []
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and len(ends) < 16:
        if at + _END.size <= len(tail):
            ends.append(at)
        at = tail.rfind(b"PK\x05\x06", 0, at)
    # the last one whose directory is there counts; Python's zipfile and torch take the last of all
    for at in ends:
        _, _, _, _, count, length, offset, comment = _END.unpack_from(tail, at)
        place = base + at
        others = [base + end for end in ends if end != at]
        if count == 0xFFFF or 0xFFFFFFFF in (length, offset):
            wide = _zip64(source, place)
            if wide is not None:
                count, length, offset, place = wide
        real = place - length
        there, behind = source.read_at(offset, 4) == _ENTRY, real >= 0 and source.read_at(real, 4) == _ENTRY
        if length and not there and not behind:
            continue
        start = offset if there or not length else real
        if there and behind and real != offset:
            others.append(real)
        end = base + at + _END.size + comment
        if end > source.size:
            walk.fault("broken", walk.name, "its comment is said to be longer than the file")
        return _Directory(start, length, count, start - offset, min(end, source.size), tuple(others))
    return None


def _zip64(source: ByteSource, end: int) -> tuple[int, int, int, int] | None:
    """Return count, length, offset and place of a directory that needs 64 bits."""
    locator = source.read_at(max(0, end - 20), 20)
    if locator[:4] != b"PK\x06\x07":
        return None
    at = int.from_bytes(locator[8:16], "little")
    record = source.read_at(at, 56) if at < source.size else b""
    if record[:4] != b"PK\x06\x06" and end >= 76:
        at = end - 76
        record = source.read_at(at, 56)
    if len(record) < 56 or record[:4] != b"PK\x06\x06":
        return None
    count, length, offset = struct.unpack_from("<3Q", record, 32)
    return count, length, offset, at


def _members(source: ByteSource, walk: ArchiveWalk, found: _Directory) -> list[tuple[int, int]]:
    """Read the directory; return (where the header is, where the data ends) of each member."""
    start, length, count, shift = found.start, found.length, found.count, found.shift
    data = source.read_at(start, min(length, MAX_DIRECTORY))
    if length > MAX_DIRECTORY:
        walk.limit = f"a directory of {length} bytes; {MAX_DIRECTORY} of them read"
    if len(data) < min(length, MAX_DIRECTORY):
        walk.fault("broken", walk.name, "the directory is longer than the file")
    spans: list[tuple[int, int]] = []
    at = 0
    while at + _CENTRAL.size <= len(data) and data[at : at + 4] == b"PK\x01\x02":
        if len(walk.members) >= MAX_MEMBERS:
            walk.limit = f"more than {MAX_MEMBERS} members"
            break
        fields = _CENTRAL.unpack_from(data, at)
        made, flags, method, crc, packed, size = (
            fields[1],
            fields[3],
            fields[4],
            fields[7],
            fields[8],
            fields[9],
        )
        names, extras, comments, attributes, header = (
            fields[10],
            fields[11],
            fields[12],
            fields[15],
            fields[16],
        )
        raw = data[at + 46 : at + 46 + names]
        extra = data[at + 46 + names : at + 46 + names + extras]
        at += 46 + names + extras + comments
        size, packed, header = _wide(extra, size, packed, header)
        name = _decoded(raw, flags)
        mode = attributes >> 16 if made >> 8 == _UNIX else 0
        kind = _kind(mode, raw)
        if mode and kind == "device":
            walk.fault("device", f"{walk.name}:{name}", f"mode {mode:o} is that of a device or pipe")
        place = header + shift
        compared = len(spans) < MAX_COMPARED
        begins, other = _local(source, walk, place, raw, name, (flags, method, crc, packed, size), compared)
        link = ""
        if kind == "link" and method == 0 and size <= 4096:
            link = source.read_at(begins, size).decode("utf-8", "replace")
        member = Member(
            name, begins, packed, size, method, kind, link, crc, bool(flags & _ENCRYPTED), other
        )  # fmt: skip
        walk.members.append(member)
        spans.append((place, begins + packed))
        _check_names(walk, extra, raw, name)
    if not walk.limit and len(walk.members) != count:
        walk.fault("broken", walk.name, f"the directory lists {len(walk.members)} members and says {count}")
    return spans


def _local(
    source: ByteSource,
    walk: ArchiveWalk,
    place: int,
    raw: bytes,
    name: str,
    central: tuple[int, int, int, int, int],
    compared: bool,
) -> tuple[int, int | None]:
    """Hold the header beside the data against the directory; return where data begins, another method."""
    location = f"{walk.name}:{name}"
    header = source.read_at(place, _LOCAL.size) if compared else b""
    if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
        if compared:
            walk.fault("broken", location, f"there is no member's header at byte {place}")
        return place + _LOCAL.size + len(raw), None
    _, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(header)
    begins = place + _LOCAL.size + names + extras
    around = source.read_at(place + _LOCAL.size, names + extras)
    size, packed, _ = _wide(around[names:], size, packed, 0)
    told = around[:names]
    if told != raw:
        walk.fault("header-mismatch", location, f"beside the data it is called {told[:200]!a}")
    if method != central[1]:
        walk.fault(
            "header-mismatch", location, f"method {method} beside the data, {central[1]} in the directory"
        )
    if (flags ^ central[0]) & (_ENCRYPTED | _DESCRIPTOR | _UTF8):
        walk.fault(
            "header-mismatch",
            location,
            f"flags 0x{flags:x} beside the data, 0x{central[0]:x} in the directory",
        )
    later = bool(flags & _DESCRIPTOR)  # sizes follow the data, the header may have none
    for what, here, there in (
        ("crc", crc, central[2]),
        ("packed size", packed, central[3]),
        ("size", size, central[4]),
    ):
        if here != there and not (later and not here):
            walk.fault(
                "header-mismatch", location, f"{what} {here} beside the data, {there} in the directory"
            )
    if begins + central[3] > source.size:
        walk.fault("broken", location, f"its {central[3]} bytes end behind the end of the file")
    return begins, method if method != central[1] else None


def _wide(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Return sizes and offset with those of 64 bits in place of the ones that are full."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            block = extra[at + 4 : at + 4 + length]
            values = [int.from_bytes(block[i : i + 8], "little") for i in range(0, len(block) - 7, 8)]
            if size == 0xFFFFFFFF and values:
                size = values.pop(0)
            if packed == 0xFFFFFFFF and values:
                packed = values.pop(0)
            if header == 0xFFFFFFFF and values:
                header = values.pop(0)
            break
        at += 4 + length
    return size, packed, header


def _check_names(walk: ArchiveWalk, extra: bytes, raw: bytes, name: str) -> None:
    """A field of extra data can give a member a second name, in Unicode, that some loaders take."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 0x7075 and length > 5:
            other = extra[at + 9 : at + 4 + length]
            if other != raw:
                shown = other.decode("utf-8", "replace")
                walk.fault("header-mismatch", f"{walk.name}:{name}", f"its Unicode name is {shown[:200]!a}")
        at += 4 + length


def _kind(mode: int, raw: bytes) -> MemberKind:
    kind = mode & 0o170000
    if kind == _LINK:
        return "link"
    if kind == _FOLDER or raw.endswith(b"/"):
        return "folder"
    return "file" if kind in (0, _FILE) else "device"


def _decoded(raw: bytes, flags: int) -> str:
    return raw.decode("utf-8" if flags & _UTF8 or not raw.isascii() else "ascii", "backslashreplace")


def _between(
    source: ByteSource, walk: ArchiveWalk, spans: list[tuple[int, int]], directory: int, end: int
) -> None:
    """Look at what is before the first member, between members and behind the end."""
    first = spans[0][0] if spans else directory
    if first > 0:
        content = content_of(source.read_at(0, min(4096, first))) or "bytes of no known kind"
        walk.stretch("prepended", 0, first, f"{first} bytes before the zip: {content}", content)
    reached = first
    for place, stop in [*spans, (directory, directory)]:
        if place < reached:
            walk.fault("overlap", f"{walk.name}@byte {place}", "members lie over each other")
        elif place - reached > 0:
            gap = source.read_at(reached, min(place - reached, MAX_GAP))
            _gap(walk, reached, place - reached, gap)
        reached = max(reached, stop)
    if end < source.size:
        data = source.read_at(end, min(4096, source.size - end))
        content = content_of(data) or ("zeros" if not any(data) else "bytes of no known kind")
        length = source.size - end
        walk.stretch("trailing", end, length, f"{length} bytes behind the end: {content}", content)


def _gap(walk: ArchiveWalk, at: int, length: int, gap: bytes) -> None:
    rest = gap[4:] if gap[:4] == b"PK\x07\x08" else gap  # sizes that follow the data
    if length <= 24 and (gap[:4] == b"PK\x07\x08" or length in (12, 20)):
        return
    if b"PK\x03\x04" in rest:
        inner = at + gap.find(b"PK\x03\x04")
        told = "a member that the directory does not list"
        walk.stretch("hidden-member", inner, length - (inner - at), told, "zip")
    elif any(rest):
        content = content_of(rest) or "bytes of no known kind"
        walk.stretch("gap", at, length, f"{length} bytes between members: {content}", content)


def _without_directory(source: ByteSource, walk: ArchiveWalk) -> None:
    """Go from header to header where there is no directory."""
    walk.fault("broken", walk.name, "there is no directory of its members")
    at = 0
    while len(walk.members) < 1000:
        header = source.read_at(at, _LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
            return
        _, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(header)
        around = source.read_at(at + _LOCAL.size, names + extras)
        size, packed, _ = _wide(around[names:], size, packed, 0)
        begins = at + _LOCAL.size + names + extras
        if not packed and flags & _DESCRIPTOR:
            packed = source.size - begins
        walk.members.append(
            Member(_decoded(around[:names], flags), begins, packed, size, method, crc=crc or None)
        )  # fmt: skip
        at = begins + packed
