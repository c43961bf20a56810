"""Where the scales of a packed block lie, and which bytes of them say "not a finite number".

Layouts: block_* structures of ggml-common.h, https://github.com/ggml-org/ggml. Scales are looked at as
bytes, every n-th of a tensor at once, so that no number is made of those that are sound.
"""

from collections.abc import Iterator
from dataclasses import dataclass

# little-endian half floats are infinite or NaN where the five bits of the exponent, in the last byte, are set
_HALF = bytes(b for b in range(256) if b & 0x7C == 0x7C)
# of 32-bit and brain floats the last byte has seven bits of the exponent, the one before it the eighth
_SINGLE = bytes([0x7F, 0xFF])
_SECOND = bytes(range(0x80, 0x100))
_DOUBLE_SECOND = bytes(range(0xF0, 0x100))
_FEW = 16
MOST_ROWS = 16_384  # of one piece
_NOT_ZERO = bytes(b for b in range(256) if b not in (0, 0x80))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the values of a type are looked at.

    Attributes:
        weights: in a block.
        size: of a block in bytes.
        tests: what makes bytes suspicious, by their offsets in a block; all of one tuple must hold.
        scale: offset of the scale that makes a whole block zero; None where zero is told otherwise.
    """

    weights: int
    size: int
    tests: tuple[tuple[tuple[int, bytes], ...], ...]
    scale: int | None = None
    width: int = 2


def _halves(weights: int, size: int, *offsets: int) -> Layout:
    # the first is the scale, the second an offset that is added
    scale = offsets[0] if len(offsets) == 1 else None
    return Layout(weights, size, tuple(((offset + 1, _HALF),) for offset in offsets), scale)


LAYOUTS: dict[int, Layout] = {
    0: Layout(1, 4, (((3, _SINGLE), (2, _SECOND)),), 0, 4),
    1: Layout(1, 2, (((1, _HALF),),), 0),
    28: Layout(1, 8, (((7, _SINGLE), (6, _DOUBLE_SECOND)),), 0, 8),
    30: Layout(1, 2, (((1, _SINGLE), (0, _SECOND)),), 0),
    2: _halves(32, 18, 0),  # Q4_0
    3: _halves(32, 20, 0, 2),
    6: _halves(32, 22, 0),
    7: _halves(32, 24, 0, 2),
    8: _halves(32, 34, 0),
    10: _halves(256, 84, 80, 82),  # Q2_K: 16 scales and 64 bytes of codes first
    11: _halves(256, 110, 108),
    12: _halves(256, 144, 0, 2),
    13: _halves(256, 176, 0, 2),
    14: _halves(256, 210, 208),
    15: Layout(256, 292, (((3, _SINGLE), (2, _SECOND)),), 0, 4),
    16: _halves(256, 66, 0),
    17: _halves(256, 74, 0),
    18: _halves(256, 98, 0),
    19: _halves(256, 50, 0),
    20: _halves(32, 18, 0),
    21: _halves(256, 110, 0),
    22: _halves(256, 82, 0),
    23: _halves(256, 136, 0),
    # the scale's sixteen bits are the high halves of the second, fourth, sixth and eighth byte of scales
    29: Layout(
        256,
        56,
        (
            (
                (55, bytes(b for b in range(256) if b & 0x70 == 0x70)),
                (53, bytes(b for b in range(256) if b & 0xC0 == 0xC0)),
            ),
        ),
    ),
    34: _halves(256, 54, 52),
    35: _halves(256, 66, 64),
    39: Layout(32, 17, (((0, b"\xff"),),)),  # MXFP4: a power of two, 255 is NaN
    40: Layout(64, 36, tuple(((n, b"\x7f\xff"),) for n in range(4))),  # NVFP4: four 8-bit floats
    41: _halves(128, 18, 0),
    42: _halves(64, 18, 0),
}
_PLAIN_SCALES = frozenset({2, 3, 6, 7, 8, 20})


def unsound(layout: Layout, data: bytes) -> int:
    """Return how many blocks of whole blocks of data have a scale, or value, that is NaN or infinite."""
    count = 0
    for test in layout.tests:
        (first, wanted), *others = test
        column = data[first :: layout.size]
        # what is left when all suspicious bytes are taken out
        suspicious = len(column) - len(column.translate(None, wanted))
        if not suspicious:
            continue
        if not others:
            count += suspicious
            continue
        ((second, also),) = others
        other = data[second :: layout.size]
        both = column.translate(_marks(wanted)), other.translate(_marks(also))
        count += sum(1 for index in _ones(both[0]) if both[1][index])
    return count


def first_unsound(layout: Layout, data: bytes) -> int | None:
    """Return the offset of the first such byte, or None."""
    places = []
    for test in layout.tests:
        (first, wanted), *others = test
        marked = data[first :: layout.size].translate(_marks(wanted))
        second = data[others[0][0] :: layout.size].translate(_marks(others[0][1])) if others else marked
        found = next((index for index in _ones(marked) if second[index]), None)
        if found is not None:
            places.append(found * layout.size + first)
    return min(places, default=None)


def zero_rows(layout: Layout, data: bytes, row_bytes: int) -> tuple[int, int]:
    """Return how many whole rows were looked at, and how many of them are zero in every weight.

    Types that do not tell by their scales give (0, 0); of very many short rows the first are looked at.
    """
    if layout.scale is None or row_bytes <= 0:
        return 0, 0
    rows = min(len(data) // row_bytes, MOST_ROWS)
    # rows of plain zeros are found at the speed of a search for some
    if layout.weights == 1 and bytes(min(_FEW, row_bytes)) not in data:
        return rows, 0
    columns = [data[layout.scale + byte :: layout.size] for byte in range(layout.width)]
    # a minus sign does not make zero less so
    columns[-1] = columns[-1].translate(_marks(_NOT_ZERO))
    each = row_bytes // layout.size
    if columns[-1].count(0) < each:
        return rows, 0
    none = bytes(each)
    zero = sum(
        all(column[row * each : (row + 1) * each] == none for column in columns) for row in range(rows)
    )
    return rows, zero


def tiny_scales(kind: int, data: bytes) -> int:
    """Return how many blocks have a scale above zero and below 1.5e-5, where the type has one plain scale.

    Types with scales of scales have such as a rule.
    """
    if kind not in _PLAIN_SCALES:
        return 0
    size = LAYOUTS[kind].size
    high, low = data[1::size], data[::size]
    nothing = high.count(0) + high.count(0x80)
    if nothing * 2 < len(high):
        return 0
    return sum(1 for first, second in zip(high, low, strict=True) if first in (0, 0x80) and second)


_TABLES: dict[bytes, bytes] = {}


def _marks(wanted: bytes) -> bytes:
    """Return a table that turns the wanted bytes into 1 and all others into 0."""
    table = _TABLES.get(wanted)
    if table is None:
        table = _TABLES[wanted] = bytes(byte in wanted for byte in range(256))
    return table


def _ones(marks: bytes) -> Iterator[int]:
    at = marks.find(1)
    while at >= 0:
        yield at
        at = marks.find(1, at + 1)
