"""Files that lie where a tensor's values should be, by the first bytes of each tensor.

A tensor of bytes (U8, I8, BOOL, 8-bit floats) can hold any file, and a loader hands it on as numbers. The
first bytes of tensors of other types are looked at too: no weights begin as a whole program does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.static.byte_source import ByteSource
from qaudit.static.carried import begun_file
from qaudit.static.kinds import HEAD_BYTES
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk

MOST_BYTES = 16 << 20  # of all tensors of a file together


@dataclass(frozen=True, slots=True)
class Starts:
    """The first bytes of the tensors of a file: name, offset in the file, what they begin."""

    walk: SafetensorsWalk
    found: tuple[tuple[str, int, str], ...]
    left_out: int


BOOK: RuleBook[Starts] = RuleBook("values", "files in place of values")


def starts(source: ByteSource, walk: SafetensorsWalk) -> Starts:
    """Look at the first bytes of every tensor that lies in the file.

    Raises:
        InputError: the file cannot be read.
    """
    found: list[tuple[str, int, str]] = []
    left, left_out = MOST_BYTES, 0
    for tensor in walk.tensors:
        at = walk.data_start + tensor.begin
        length = min(tensor.size, HEAD_BYTES)
        if length < 4 or at + length > source.size:
            continue
        if left < length:
            left_out += 1
            continue
        head = source.read_at(at, length)
        left -= length
        what = begun_file(head)
        if what:
            found.append((tensor.name, at, what))
    return Starts(walk, tuple(found), left_out)


@BOOK.rule(
    "foreign-file", "high",
    title="a tensor begins like another kind of file",
    why="Weights are a place to carry programs past scanners that look at names and headers only.",
    remedy="do not load it; look at the bytes", sources=("CWE-506",),
)  # fmt: skip
def foreign_file(case: Starts) -> Iterator[Hit]:
    """Find programs, archives and pickles in place of values."""
    for name, at, what in case.found:
        yield Hit(f"{case.walk.name}:{ascii(name[:160])[1:-1]}@byte {at}", f"begins like {what}")
