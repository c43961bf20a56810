"""All pickles of a file, one behind the other, and what can be found where they break off.

A loader reads up to the first STOP, or fails at the first byte that is no opcode - and by then has run
everything before it. So a walk goes on past both: behind a STOP the next pickle begins, and behind a
break, and between weights, the bytes are searched for pickles and for imports of the dangerous kind.
"""

import re
from collections.abc import Callable
from typing import Final

from qaudit.static.byte_source import ByteSource
from qaudit.static.kinds import HEAD_BYTES, content_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.pickles.following import Follower
from qaudit.static.pickles.machine import MAX_RECORDS
from qaudit.static.pickles.stand_ins import Allowance, as_latin
from qaudit.static.pickles.walk import Import, PickleWalk
from qaudit.static.pickles.window import Held, Slice, Window

MAX_PICKLES: Final = 1000
MAX_DEPTH: Final = 4  # of pickles in byte strings of pickles
MAX_SEARCHED: Final = 64 << 20  # bytes outside of pickles
MAX_CANDIDATES: Final = 200
MAX_DISTANT: Final = 4 << 20  # of a file that is read over a network
MAX_TEXT: Final = 1 << 20  # of a byte string that is written as a text
CHUNK: Final = 1 << 20
OVERLAP: Final = 512
# torch's format before zips: a number, a version, the system, the object, the keys, then raw storages
TORCH_MAGIC: Final = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
TORCH_PICKLES: Final = 5
# a pickle that may begin amid other bytes: PROTO and an opcode that opens something
_BEGINNING: Final = LazyPattern(
    rb"\x80[\x02-\x05](?:\x95.{5}\x00{3}|[c(\]}K]|\x8c[\x01-\x60][A-Za-z_])", re.DOTALL
)
_TEXT_IMPORT: Final = LazyPattern(rb"[ci]([A-Za-z_][\w.]{1,60})\n([A-Za-z_][\w.]{0,60})\n")
_STACK_IMPORT: Final = LazyPattern(
    rb"\x8c([\x01-\x60])([A-Za-z_][\w.]{0,80})[\x94qr]?.?\x8c([\x01-\x60])([A-Za-z_][\w.]{0,80})[\x94qr]?.?\x93",
    re.DOTALL,
)
Dangerous = Callable[[str, str], bool]


def walk_pickles(source: ByteSource, dangerous: Dangerous, depth: int = 0) -> PickleWalk:
    """Follow every pickle of a file; never raises for what is in it.

    Args:
        source: the file.
        dangerous: says whether an import of (module, name) is worth a report where it was only found
            among other bytes.
        depth: how many pickles this one lies in.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    walk = PickleWalk(source.name, source.size, depth=depth)
    allowance = Allowance()
    at = _one_after_another(source, walk, allowance)
    if walk.storages is None and at < source.size:
        _search(source, walk, at, allowance, dangerous)
    if depth < MAX_DEPTH:
        _enter(source, walk, dangerous)
    return walk


def _one_after_another(source: ByteSource, walk: PickleWalk, allowance: Allowance) -> int:
    """Follow pickles from the start; return where they end."""
    head = source.read_at(0, HEAD_BYTES)
    walk.begins = content_of(head) == "pickle"
    torch = head[2:14] == TORCH_MAGIC
    at = 0
    while at < source.size:
        if walk.pickles >= MAX_PICKLES:
            walk.limit = f"more than {MAX_PICKLES} pickles in one file"
            return at
        if torch and walk.pickles == TORCH_PICKLES:
            walk.storages = at
            return at
        if not source.local and at > MAX_DISTANT:
            walk.limit = f"only the first {at} bytes are read over a network"
            return at
        window = Window(source, at)
        follower = Follower(window, walk, allowance)
        problems = len(walk.problems)
        ending = follower.run()
        walk.operations += follower.operations
        if ending == "stop":
            walk.pickles += 1
            at = walk.end = window.offset
        elif ending == "limit":
            walk.limit = f"more than {follower.operations} operations"
            return window.offset
        elif at and not follower.named:
            # what follows a whole pickle need not be one
            del walk.problems[problems:]
            return at
        else:
            walk.begins = walk.begins or bool(follower.named)
            return window.offset
    return at


def _search(
    source: ByteSource, walk: PickleWalk, start: int, allowance: Allowance, dangerous: Dangerous
) -> None:
    """Search bytes that are no pickle, or a broken one, for what a loader might still come to."""
    if not source.local:
        walk.limit = (
            walk.limit or f"{source.size - start} bytes behind the pickles are not read over a network"
        )
        return
    stop = min(source.size, start + MAX_SEARCHED)
    if stop < source.size:
        walk.limit = walk.limit or f"{source.size - stop} bytes behind the first {stop} were not searched"
    candidates = 0
    at = start
    while at < stop:
        data = source.read_at(at, min(CHUNK, stop - at) + OVERLAP)
        for pattern, opcode in ((_TEXT_IMPORT, "GLOBAL"), (_STACK_IMPORT, "STACK_GLOBAL")):
            for match in pattern.finditer(data):
                if opcode == "STACK_GLOBAL" and not _lengths_hold(match):
                    continue
                _found(walk, match, at, opcode, dangerous)
        for match in _BEGINNING.finditer(data):
            candidates += 1
            if candidates > MAX_CANDIDATES or allowance.operations <= 0:
                break
            _try(source, walk, at + match.start(), allowance, dangerous)
        walk.searched += min(CHUNK, stop - at)
        at += CHUNK


def _lengths_hold(match: re.Match[bytes]) -> bool:
    return match[1][0] == len(match[2]) and match[3][0] == len(match[4])


def _found(walk: PickleWalk, match: re.Match[bytes], base: int, opcode: str, dangerous: Dangerous) -> None:
    groups = match.groups()
    module, name = (
        part.decode("ascii", "replace") for part in (groups if len(groups) == 2 else groups[1::2])
    )
    if dangerous(module, name) and len(walk.imports) < MAX_RECORDS:
        found = Import(module, name, base + match.start(), f"{opcode}, found among other bytes")
        walk.imports.setdefault((module, name), found)


def _try(source: ByteSource, walk: PickleWalk, at: int, allowance: Allowance, dangerous: Dangerous) -> None:
    """Follow what may be a pickle amid other bytes; keep what it imports if it is one."""
    own = PickleWalk(walk.name, walk.size)
    budget = Allowance(min(allowance.operations, 20_000))
    ending = Follower(Window(source, at), own, budget).run()
    allowance.operations -= own.operations + 100
    sound = ending == "stop" and own.imports and all(_is_name(found) for found in own.imports.values())
    if sound or any(dangerous(*names) for names in own.imports):
        for names, found in own.imports.items():
            if sound or dangerous(*names):
                walk.imports.setdefault(names, found)
        walk.calls += own.calls
        walk.hidden.append(at)


def _is_name(found: Import) -> bool:
    return found.full_name.replace(".", "a").isidentifier()


def _enter(source: ByteSource, walk: PickleWalk, dangerous: Dangerous) -> None:
    """Walk the pickles that lie in byte strings; what they import counts as the outer one's."""
    for inner in walk.embedded:
        if inner.content != "pickle" or walk.operations > 2_000_000:
            continue
        part: ByteSource = Slice(source, inner.offset, inner.length, walk.name)
        if inner.text:
            part = Held(as_latin(part.read_at(0, MAX_TEXT)), walk.name)
        within = walk_pickles(part, dangerous, walk.depth + 1)
        for names, found in within.imports.items():
            moved = Import(*names, found.offset + inner.offset, f"{found.opcode} in a byte string")
            walk.imports.setdefault(names, moved)
        walk.calls += within.calls[:MAX_RECORDS]
        walk.operations += within.operations
        walk.limit = walk.limit or within.limit
