"""Where the tensors of a walked header lie in the file, and what lies between and behind them."""

from dataclasses import dataclass

from qaudit.static.gguf.ggml_types import PACKINGS, Packing, least_bytes
from qaudit.static.gguf.walk import GgufWalk, TensorEntry

# a product of dimensions beyond this is not worth knowing exactly
MAX_ELEMENTS = (1 << 63) - 1
MAX_BYTES = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor with its place.

    Attributes:
        packing: the reading of its type that the places of the others bear out; None where there is none.
        bytes: its size; None where the type says nothing or rows are not whole blocks.
        start: absolute, in bytes.
        least: bytes that it takes at the very least.
    """

    entry: TensorEntry
    packing: Packing | None
    bytes: int | None
    start: int
    least: int

    @property
    def end(self) -> int:
        """First byte after it, or after the least that it takes."""
        return self.start + (self.least if self.bytes is None else self.bytes)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the file that belong to no tensor.

    Attributes:
        kind: `padding` before data or after a tensor, up to the alignment; `gap` where there is more;
            `trailing` behind the last tensor.
        after: what they follow, for a person.
    """

    kind: str
    start: int
    end: int
    after: str

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Layout:
    """All tensors by their places.

    Attributes:
        placed: in the order of the table.
        expected: for each tensor where llama.cpp wants it: all before it, each padded. None once a size
            is not known.
        packed: the order and the places are the ones that llama.cpp asks for.
        spans: what lies between, in order.
        exact: every size is known.
    """

    placed: tuple[Placed, ...]
    expected: tuple[int | None, ...]
    packed: bool
    spans: tuple[Span, ...]
    exact: bool


def lay_out(walk: GgufWalk) -> Layout:
    """Work out the places; a walk that did not reach the end of its header has none."""
    if walk.data_start is None:
        return Layout((), (), False, (), False)
    placed, expected = _placed(walk, walk.data_start)
    packed = all(want == tensor.entry.offset for tensor, want in zip(placed, expected, strict=True))
    exact = all(tensor.bytes is not None for tensor in placed)
    return Layout(tuple(placed), tuple(expected), packed, tuple(_spans(walk, placed)), exact)


def padded(size: int, alignment: int) -> int:
    """Return a size rounded up to whole alignments."""
    return (size + alignment - 1) // alignment * alignment


def _placed(walk: GgufWalk, data_start: int) -> tuple[list[Placed], list[int | None]]:
    placed, expected = [], []
    want: int | None = 0
    for number, entry in enumerate(walk.tensors):
        following = walk.tensors[number + 1].offset if number + 1 < len(walk.tensors) else None
        packing, size = _reading(walk, entry, following, data_start)
        expected.append(want)
        start = data_start + entry.offset
        placed.append(Placed(entry, packing, size, start, least_bytes(entry.dims)))
        want = None if want is None or size is None else want + padded(size, walk.alignment)
    return placed, expected


def _reading(
    walk: GgufWalk, entry: TensorEntry, following: int | None, data_start: int
) -> tuple[Packing | None, int | None]:
    readings = PACKINGS.get(entry.type_id, ())
    sizes = [(packing, packing.size(entry.dims)) for packing in readings]
    if len(sizes) > 1:
        # the next tensor, or the end of the file, tells which reading the writer had in mind
        for packing, size in sizes:
            if size is None:
                continue
            end = entry.offset + padded(size, walk.alignment)
            if end == following or (following is None and data_start + entry.offset + size == walk.size):
                return packing, size
            if following is None and data_start + end == walk.size:
                return packing, size
    return sizes[0] if sizes else (None, None)


def _spans(walk: GgufWalk, placed: list[Placed]) -> list[Span]:
    spans = []
    reached, before = walk.header_end, "the header"
    unknown = False
    for tensor in sorted(placed, key=lambda item: (item.start, item.end)):
        if tensor.start > reached and not unknown and reached < walk.size:
            end = min(tensor.start, walk.size)
            kind = "padding" if end <= padded_from(walk, reached) else "gap"
            spans.append(Span(kind, reached, end, before))
        if tensor.end >= reached:
            reached, before, unknown = tensor.end, tensor.entry.text, tensor.bytes is None
    if reached < walk.size and not unknown:
        # writers fill up a header without tensors too
        aligned = padded_from(walk, reached) if placed else padded(reached, walk.alignment)
        boundary = min(aligned, walk.size)
        if boundary > reached:
            spans.append(Span("padding", reached, boundary, before))
        if boundary < walk.size:
            spans.append(Span("trailing", boundary, walk.size, before))
    return spans


def padded_from(walk: GgufWalk, offset: int) -> int:
    """Return the next place at or after `offset` (absolute) where data may begin."""
    start = walk.data_start or 0
    if offset <= start:
        return start
    return start + padded(offset - start, walk.alignment)
