"""A tar's members, header by header; links, devices and names as they are written."""

from typing import Final

from qaudit.static.archives.archive_walk import ArchiveWalk, Member, MemberKind
from qaudit.static.byte_source import ByteSource
from qaudit.static.kinds import content_of, is_tar_header

MAX_MEMBERS: Final = 20_000
MAX_LONG: Final = 1 << 16  # bytes of a long name or of extended headers
_KINDS: Final[dict[bytes, MemberKind]] = {
    b"1": "hard-link", b"2": "link", b"3": "device", b"4": "device", b"5": "folder", b"6": "device",
}  # fmt: skip


def walk_tar(source: ByteSource) -> ArchiveWalk:
    """Read a tar's headers; never raises for what is in them.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    walk = ArchiveWalk(source.name, source.size, "tar")
    at, extended = 0, {}
    while at < source.size:
        if len(walk.members) >= MAX_MEMBERS:
            walk.limit = f"more than {MAX_MEMBERS} members"
            break
        header = source.read_at(at, 512)
        if not any(header):
            _behind(source, walk, at)
            break
        if not is_tar_header(header):
            walk.fault(
                "broken", f"{walk.name}@byte {at}", "no member's header, or one whose checksum is wrong"
            )
            break
        size, kind = _number(header[124:136]), header[156:157]
        begins = at + 512
        at = begins + (size + 511) // 512 * 512
        if kind in (b"L", b"K", b"x", b"g"):
            extended.update(_extended(kind, source.read_at(begins, min(size, MAX_LONG))))
            continue
        member = _member(header, begins, size, extended)
        extended = {}
        if begins + size > source.size and member.kind == "file":
            walk.fault(
                "broken", f"{walk.name}:{member.name}", f"its {size} bytes end behind the end of the file"
            )
        if member.kind == "device":
            walk.fault("device", f"{walk.name}:{member.name}", "is a device or pipe")
        walk.members.append(member)
    return walk


def _member(header: bytes, begins: int, size: int, extended: dict[str, str]) -> Member:
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" and header[263:265] == b"00" else ""
    name = extended.get("path") or (f"{prefix}/" if prefix else "") + _text(header[:100])
    link = extended.get("linkpath") or _text(header[157:257])
    kind = _KINDS.get(header[156:157], "file")
    if kind == "file" and name.endswith("/"):
        kind = "folder"
    length = size if kind == "file" else 0
    return Member(name, begins, length, length, kind=kind, link=link if "link" in kind else "")


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    if kind in (b"L", b"K"):
        return {"path" if kind == b"L" else "linkpath": _text(data)}
    found, at = {}, 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = int(digits) if digits.isdigit() and space else 0
        if length <= len(digits) + 1:
            break
        key, _, value = data[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if key in (b"path", b"linkpath"):
            found[key.decode()] = value.decode("utf-8", "backslashreplace")
        at += length
    return found


def _behind(source: ByteSource, walk: ArchiveWalk, at: int) -> None:
    """A tar ends with two blocks of zeros; what comes behind is zeros too, to a full record."""
    place = at
    while place < min(source.size, at + (1 << 20)):
        data = source.read_at(place, 1 << 16)
        if any(data):
            inner = len(data) - len(data.lstrip(b"\x00"))
            content = content_of(data[inner:]) or "bytes of no known kind"
            length = source.size - place - inner
            told = f"{length} bytes behind the end: {content}"
            walk.stretch("trailing", place + inner, length, told, content)
            return
        place += len(data)


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":  # GNU's form for large ones
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \x00")
    return int(digits, 8) if digits and all(0x30 <= digit <= 0x37 for digit in digits) else 0


def _text(field: bytes) -> str:
    return field.partition(b"\x00")[0].decode("utf-8", "backslashreplace")
