"""One pass over the weights of a GGUF in pieces of a few megabytes: whole, or the ends of each tensor.

A file of up to `WHOLE` bytes is read whole. Of larger ones each tensor is read at its beginning, middle
and end unless the case asks for everything; the surface says which it was.
"""

import hashlib
from collections.abc import Iterator

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.carried import begun_file
from qaudit.static.case import Case
from qaudit.static.gguf.ggml_types import type_label
from qaudit.static.gguf.walk import GgufWalk, TensorEntry
from qaudit.static.kinds import HEAD_BYTES
from qaudit.static.metadata.block_scales import (
    LAYOUTS,
    Layout,
    first_unsound,
    tiny_scales,
    unsound,
    zero_rows,
)
from qaudit.static.metadata.numbers import elements
from qaudit.static.metadata.value_rules import BOOK, Value, Values
from qaudit.static.model_parts import Examined

WHOLE = 64 << 20  # bytes of a file that is read whole without being asked
PIECE = 4 << 20
SAMPLE = 32 << 10  # at each of three places of a tensor
MAX_SAMPLED = 64 << 20  # of all tensors together
MOST_TENSORS = 16_384  # a tensor takes a few hundredths of a millisecond, however small
LEAST = 16  # bytes that a program, archive or pickle has
Span = tuple[int, int]  # offset in the tensor, bytes


def inspect_values(source: ByteSource, walk: GgufWalk, case: Case) -> Examined:
    """Look at the values of all tensors whose place and type are known.

    Raises:
        InputError: the file cannot be read, or shrank.
    """
    kind = "weights"
    if not source.local:
        why = "values are not read over the network"
        return Examined(surfaces=[Surface(source.name, kind, "skipped", why)])
    if walk.data_start is None or not walk.tensors:
        return Examined()
    whole = case.deep or source.size <= WHOLE
    values: list[Value] = []
    left_out = 0
    foreign: list[Value] = []
    budget = source.size if whole else MAX_SAMPLED
    for entry in walk.tensors:
        layout = LAYOUTS.get(entry.type_id)
        size = _size(entry, layout)
        start = walk.data_start + entry.offset
        if (
            layout is None
            or size is None
            or size <= 0
            or entry.offset < 0
            or start + size > source.size
            or budget <= 0
            or len(values) >= MOST_TENSORS
        ):
            left_out += 1
            if 0 <= start <= source.size - LEAST:
                foreign += _foreign(source, entry, start)
            continue
        value = _look(source, walk, entry, layout, start, size, whole)
        budget -= value.read
        values.append(value)
    found = Values(source.name, tuple(values), whole)
    findings = BOOK.findings(found) + BOOK.findings(Values(source.name, tuple(foreign), whole))
    return Examined(findings, [_surface(found, left_out, walk.big_endian)])


def _foreign(source: ByteSource, entry: TensorEntry, start: int) -> list[Value]:
    """Return a tensor whose values are not judged (whole numbers, unknown types) where it begins a file."""
    length = min(HEAD_BYTES, source.size - start)
    begins = begun_file(source.read_at(start, length))
    label = type_label(entry.type_id)
    value = Value(entry.text, label, start, length, 0, 0, None, 0, 0, False, False, b"", begins)
    return [value] if begins else []


def _surface(found: Values, left_out: int, big_endian: bool) -> Surface:
    read = sum(value.read for value in found.values)
    size = sum(value.size for value in found.values)
    reasons = []
    if not found.whole and read < size:
        reasons.append(f"{read:,} of {size:,} bytes: three places of each tensor; --deep reads all")
    if left_out:
        reasons.append(f"{left_out} tensors of other types, or out of the file")
    if big_endian:
        reasons.append("big-endian values are not told apart")
    return Surface(found.name, "weights", "partial" if reasons else "examined", "; ".join(reasons))


def _size(entry: TensorEntry, layout: Layout | None) -> int | None:
    if layout is None or not entry.dims or entry.dims[0] % layout.weights:
        return None
    return elements(entry) // layout.weights * layout.size


def _look(
    source: ByteSource, walk: GgufWalk, entry: TensorEntry, layout: Layout, start: int, size: int, whole: bool
) -> Value:
    row = entry.dims[0] // layout.weights * layout.size
    digest = hashlib.sha1(f"{entry.type_id} {entry.dims}".encode(), usedforsecurity=False)
    read = bad = rows = zero = small = blocks = 0
    bad_at: int | None = None
    begins, first = "", b""
    constant = size > 1
    for offset, length in _pieces(size, row, layout.size) if whole else _samples(size, row, layout.size):
        data = source.read_at(start + offset, length)
        digest.update(data)
        begins = begins if offset else begun_file(data[:HEAD_BYTES])
        read += len(data)
        constant = constant and _repeats(data, first := first or data[: layout.size])
        # of another byte order nothing is known
        count = 0 if walk.big_endian else unsound(layout, data)
        if count and bad_at is None:
            bad_at = start + offset + (first_unsound(layout, data) or 0)
        bad += count
        small += tiny_scales(entry.type_id, data)
        blocks += length // layout.size
        if offset % row == 0 and length >= row:
            looked, zeros = zero_rows(layout, data[: length // row * row], row)
            rows, zero = rows + looked, zero + zeros
    return Value(
        entry.text, type_label(entry.type_id), start, size, read, bad, bad_at, rows, zero, constant,
        len(entry.dims) > 1 and size > row, digest.digest(), begins, small, blocks,
    )  # fmt: skip


def _repeats(data: bytes, block: bytes) -> bool:
    """Whether data are one block over and over; most are told by their beginning."""
    few = block * 8
    if data[: len(few)] != few[: len(data)]:
        return False
    return data == (block * (len(data) // len(block) + 1))[: len(data)]


def _pieces(size: int, row: int, block: int) -> Iterator[Span]:
    """Give pieces of whole rows where a row is not too long, else of as many bytes."""
    # a row that is too long is cut between blocks
    step = PIECE // row * row if row <= PIECE else PIECE // block * block
    yield from ((offset, min(step, size - offset)) for offset in range(0, size, step))


def _samples(size: int, row: int, block: int) -> Iterator[Span]:
    """Give three places, each of whole blocks from the beginning of a row."""
    length = max(row, SAMPLE // row * row) if row <= SAMPLE else max(block, SAMPLE // block * block)
    if size <= 3 * length:
        yield 0, size
        return
    for at in (0, (size - length) // 2, size - length):
        yield at // row * row, length
