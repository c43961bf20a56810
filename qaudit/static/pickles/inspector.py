"""One pickle, or numpy array of objects -> findings; called for files and for members of archives."""

import re
from typing import Final

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.kinds import HEAD_BYTES, content_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.model_parts import Examined
from qaudit.static.pickles.known_names import is_dangerous
from qaudit.static.pickles.rules import BOOK
from qaudit.static.pickles.walking import walk_pickles
from qaudit.static.pickles.window import Slice

_OBJECTS: Final = LazyPattern(rb"'descr':\s*.{0,4000}?[|=<>]?O", re.DOTALL)
_ENTRY_HEADER: Final = 1 << 16  # what numpy itself is willing to read


def inspect_pickle(source: ByteSource, case: Case) -> Examined:
    """Walk the pickles of one file and apply the rules of their family; nothing is unpickled.

    Args:
        source: the file; also a `.npy`, of which an array of objects is a pickle.
        case: how to look.

    Raises:
        InputError: the file cannot be read.
        HubUnreachable: the hub no longer answers.
    """
    head = source.read_at(0, HEAD_BYTES)
    if content_of(head) == "npy":
        return _inspect_array(source, head)
    return _inspect_stream(source)


def _inspect_stream(source: ByteSource, base: int = 0) -> Examined:
    walk = walk_pickles(source, is_dangerous)
    walk.base = base
    examined = Examined(findings=BOOK.findings(walk))
    if walk.limit:
        examined.surfaces.append(Surface(source.name, "pickle", "partial", walk.limit))
    elif not walk.begins and not walk.imports:
        why = "not a pickle; searched for pickles and for imports, and its own format is not known"
        examined.surfaces.append(Surface(source.name, "other", "partial", why))
    else:
        examined.surfaces.append(Surface(source.name, "pickle", "examined"))
    return examined


def _inspect_array(source: ByteSource, head: bytes) -> Examined:
    wide = head[6:7] != b"\x01"
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    start = (12 if wide else 10) + length
    if length > _ENTRY_HEADER or start > source.size:
        why = "the header of the array is longer than numpy reads"
        return Examined(surfaces=[Surface(source.name, "array", "partial", why)])
    header = source.read_at(0, start)
    if not _OBJECTS.search(header):
        return Examined(surfaces=[Surface(source.name, "array", "examined")])
    return _inspect_stream(Slice(source, start, source.size - start, source.name), start)
