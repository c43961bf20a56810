"""One archive -> findings: its layout, then each member as the file that it is, to a bounded depth."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qaudit.findings import Surface
from qaudit.static.archives.archive_walk import STORED, ArchiveWalk, Member
from qaudit.static.archives.listed_names import listed_names
from qaudit.static.archives.rules import BOOK, MAX_RATIO, Contents
from qaudit.static.archives.tar_layout import walk_tar
from qaudit.static.archives.unpacking import can_unpack, unpack_member, unpack_stream
from qaudit.static.archives.zip_layout import walk_zip
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.folder_view import FileKind
from qaudit.static.kinds import HEAD_BYTES, PICKLE_NAMES, content_of, is_zlib, kind_of, suffix_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import Examined
from qaudit.static.pickles.inspector import inspect_pickle
from qaudit.static.pickles.window import Held, Slice

MAX_DEPTH: Final = 3  # of archives in archives
MAX_HELD: Final = 8 << 20  # bytes of one member in memory
MAX_UNPACKED: Final = 128 << 20  # of all members together
MOST_SHOWN: Final = 8  # names of an archive that is not opened
MAX_LOOKED_AT: Final = 5000  # members whose first bytes are read
_RAW: Final = LazyPattern(r"(?:^|/)(?:data|tensors?|storages?|\.data|xl|weights)/[\w.-]+$")
_LAMBDA: Final = LazyPattern(
    rb'"class_name":\s*"Lambda"|"module":\s*"(?:builtins|os|subprocess|posix|nt|importlib|sys)"'
)
_PACKED: Final = "packed in an archive; unpack it and inspect the folder"
_CODE: Final = frozenset({"python", "script", "native", "notebook"})


@dataclass(slots=True)
class _Budget:
    """What may still be unpacked of one file and all that is nested in it."""

    bytes_left: int = MAX_UNPACKED
    looks_left: int = MAX_LOOKED_AT


def inspect_archive(source: ByteSource, case: Case) -> Examined:
    """Read the layout of a zip, tar or compressed file and look at its members; nothing is written anywhere.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    return _inspect(source, case, 0, _Budget())


def inspect_zip(source: ByteSource, case: Case) -> Examined:
    """Read a file as a zip whatever it begins as; see `inspect_archive`.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    return _members(source, walk_zip(source), case, 0, _Budget())


def _inspect(source: ByteSource, case: Case, depth: int, budget: _Budget) -> Examined:
    content = content_of(source.read_at(0, HEAD_BYTES))
    if content is None and is_zlib(source.name, source.read_at(0, 2)):
        content = "zlib"
    if content == "zip" or (content in (None, "pickle") and _ends_as_zip(source)):
        return _members(source, walk_zip(source), case, depth, budget)
    if content == "tar":
        return _members(source, walk_tar(source), case, depth, budget)
    walk = ArchiveWalk(source.name, source.size, content or "unknown")
    contents = Contents(walk, loaded=suffix_of(source.name) in PICKLE_NAMES)
    if content is not None and can_unpack(content):
        return _stream(source, content, contents, case, depth, budget)
    why = f"{content or 'a format that its name promises and its bytes are not'}: not opened here"
    names = listed_names(source, content or "")
    # of what is packed only the names are judged
    walk.members += [Member(name, 0, 0, 0) for name in names]
    contents.kinds |= {name: "native" for name in names if kind_of(name, b"") == "native"}
    contents.opaque.append((source.name, why + _shown(names)))
    return Examined(BOOK.findings(contents), [Surface(source.name, "archive", "skipped", why)])


def _shown(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"; it lists {', '.join(ascii(name[:80]) for name in names[:MOST_SHOWN])}{more}"


def _ends_as_zip(source: ByteSource) -> bool:
    tail = source.read_at(max(0, source.size - 65_557), 65_557)
    return b"PK\x05\x06" in tail and b"PK\x01\x02" in tail


def _stream(
    source: ByteSource, content: str, contents: Contents, case: Case, depth: int, budget: _Budget
) -> Examined:
    """Look at what a file that is compressed as a whole unpacks to."""
    limit = min(MAX_HELD, budget.bytes_left)
    unpacked = unpack_stream(source, content, limit)
    budget.bytes_left -= len(unpacked.data)
    examined = Examined()
    why = unpacked.problem
    if unpacked.data:
        inner = suffix_of(source.name)
        name = f"{source.name}:{'content' + (inner if inner in PICKLE_NAMES else '')}"
        examined.add(_one(Held(unpacked.data, name), case, depth, budget, contents))
    if not unpacked.complete and not why:
        why = f"only the first {len(unpacked.data)} bytes were unpacked"
        if len(unpacked.data) > MAX_RATIO * max(unpacked.consumed, 1):
            contents.bomb = f"{unpacked.consumed} bytes that unpack to {len(unpacked.data)} and more"
    if unpacked.problem:
        contents.walk.fault("broken", source.name, f"{content}: {unpacked.problem}")
    state = (
        Surface(source.name, "archive", "partial", why)
        if why
        else Surface(source.name, "archive", "examined")
    )
    examined.findings += BOOK.findings(contents)
    examined.surfaces.append(state)
    return examined


def _members(source: ByteSource, walk: ArchiveWalk, case: Case, depth: int, budget: _Budget) -> Examined:
    contents = Contents(walk, loaded=suffix_of(source.name) in PICKLE_NAMES)
    inner = Examined()
    left = 0
    for member in walk.members:
        if member.kind != "file":
            continue
        if budget.looks_left <= 0 or budget.bytes_left <= 0:
            left += 1
            continue
        budget.looks_left -= 1
        inner.add(_member(source, member, contents, case, depth, budget))
    for fault in walk.faults:
        if (
            fault.content in ("pickle", "zip", "tar", "gzip", "script")
            and fault.length
            and budget.looks_left > 0
        ):
            budget.looks_left -= 1
            part = Slice(source, fault.at, fault.length, f"{fault.location}{_suffix(fault.content)}")
            inner.add(_one(part, case, depth + 1, budget, contents))
    why = walk.limit or (
        f"{left} members were not looked at: too many, or too large together" if left else ""
    )
    locked = [
        member.name for member in walk.members if member.encrypted and member.name not in contents.unlocked
    ]
    if locked:
        contents.opaque.append((f"{walk.name}:{locked[0]}", f"{len(locked)} members are encrypted"))
        why = why or f"{len(locked)} members are encrypted"
    state = (
        Surface(walk.name, walk.format, "partial", why)
        if why
        else Surface(walk.name, walk.format, "examined")
    )
    return Examined(BOOK.findings(contents) + inner.findings, [state, *inner.surfaces])


def _member(
    source: ByteSource, member: Member, contents: Contents, case: Case, depth: int, budget: _Budget
) -> Examined:
    """Look at one member: its first bytes say what it is, and who looks at the rest."""
    name = f"{source.name}:{member.name}"
    head = unpack_member(source, member, HEAD_BYTES)
    budget.bytes_left -= 0 if member.method == STORED else len(head.data)
    if head.problem and not head.data and member.packed:
        if not member.encrypted:
            contents.walk.fault("broken", name, head.problem)
        return Examined(surfaces=[Surface(name, "other", "skipped", head.problem)])
    content, kind = content_of(head.data), kind_of(member.name, head.data)
    if member.encrypted and not head.problem and (content or _matches(member, head.data, head.complete)):
        contents.unlocked.append(member.name)
    elif member.encrypted:
        return Examined(surfaces=[Surface(name, "other", "skipped", "encrypted")])
    raw = bool(_RAW.search(member.name))
    if raw and kind not in ("zip", "archive") and (content == "pickle" or content is None):
        return _raw(source, member, name, contents, case)
    contents.kinds[member.name] = content if content in ("elf", "pe", "mach-o", "wasm", "script") else kind
    if content == "pickle" and suffix_of(member.name) not in PICKLE_NAMES and not _is_torch_tar(member.name):
        contents.kinds[member.name] = "renamed-pickle"
    return _whole(source, member, name, kind, contents, case, depth, budget)


def _whole(
    source: ByteSource, member: Member, name: str, kind: FileKind, contents: Contents, case: Case, depth: int,
    budget: _Budget,
) -> Examined:  # fmt: skip
    keras = member.name in ("config.json", "model_config.json")
    if kind not in ("pickle", "zip", "archive") and kind not in _CODE and not keras:
        known = kind in ("text", "readme", "lfs-pointer", "config", "other")
        if known or member.size == 0:
            return Examined()
        return Examined(surfaces=[Surface(name, kind, "skipped", _PACKED)])
    if member.method == STORED and member.local_method is None:
        part: ByteSource = Slice(source, member.at, member.packed, name)
        _check(source, member, contents)
        complete = True
    else:
        unpacked = unpack_member(source, member, min(MAX_HELD, budget.bytes_left))
        budget.bytes_left -= len(unpacked.data)
        if unpacked.complete and not _matches(member, unpacked.data, True):
            contents.checksums.append(member.name)
        part, complete = Held(unpacked.data, name), unpacked.complete
    if keras and _LAMBDA.search(part.read_at(0, MAX_HELD)):
        contents.lambdas.append(member.name)
    examined = _one(part, case, depth, budget, contents)
    if not complete:
        why = f"only the first {part.size} bytes were unpacked"
        examined.surfaces = [Surface(name, kind, "partial", why)]
    return examined


def _one(part: ByteSource, case: Case, depth: int, budget: _Budget, contents: Contents) -> Examined:
    """Send what was packed to the inspector of its kind."""
    kind = kind_of(part.name, part.read_at(0, HEAD_BYTES))
    if kind == "pickle":
        return inspect_pickle(part, case)
    if kind in ("zip", "archive"):
        if depth < MAX_DEPTH:
            return _inspect(part, case, depth + 1, budget)
        why = f"an archive in {MAX_DEPTH} others; not opened"
        contents.opaque.append((part.name, why))
        return Examined(surfaces=[Surface(part.name, "archive", "skipped", why)])
    if kind in _CODE:
        from qaudit.static.repository.code_files import inspect_code_file

        return inspect_code_file(part, kind)
    if kind in ("text", "readme", "config"):
        return Examined(surfaces=[Surface(part.name, kind, "examined")])
    return Examined(surfaces=[Surface(part.name, kind, "skipped", _PACKED)])


def _raw(source: ByteSource, member: Member, name: str, contents: Contents, case: Case) -> Examined:
    """Numbers can begin as pickles do; what lies where numbers belong is one only if it works as one."""
    if member.method != STORED:
        return Examined()
    part = Slice(source, member.at, member.packed, name)
    if content_of(part.read_at(0, HEAD_BYTES)) != "pickle":
        return Examined()
    examined = inspect_pickle(part, case)
    if any(finding.severity == "critical" for finding in examined.findings):
        contents.kinds[member.name] = "renamed-pickle"
        return examined
    return Examined()


def _suffix(content: str) -> str:
    return ".pkl" if content == "pickle" else ""


def _check(source: ByteSource, member: Member, contents: Contents) -> None:
    """Hold a stored member that is read anyway against its checksum."""
    if member.crc is not None and member.packed <= MAX_HELD:
        whole = unpack_member(source, member, MAX_HELD)
        if whole.crc != member.crc:
            contents.checksums.append(member.name)


def _matches(member: Member, data: bytes, complete: bool) -> bool:
    return member.crc is None or (complete and zlib.crc32(data) == member.crc)


def _is_torch_tar(name: str) -> bool:
    return name in ("pickle", "storages", "tensors", "sys_info", "magic_number")
