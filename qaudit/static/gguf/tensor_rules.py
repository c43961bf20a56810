"""Rules on the tensor table: dimensions, sizes, types, and whether the data lies where it may."""

from collections.abc import Iterator

from qaudit.findings import Severity
from qaudit.static.gguf.book import BOOK, FORMAT, NOT_LOADED, WRITE_AGAIN, GgufSubject
from qaudit.static.gguf.ggml_types import PACKINGS, REMOVED, fork_of, is_known, type_label
from qaudit.static.gguf.layout import MAX_BYTES, MAX_ELEMENTS, Placed, padded
from qaudit.static.gguf.walk import TensorEntry, printable
from qaudit.static.rules import Hit

MAX_DIMENSIONS = 4
# numbers that ggml may come to use; beyond, and below zero, is no type to come
PERHAPS_LATER = range(43, 96)
OVERFLOWS = (
    "CVE-2025-53630", "CVE-2026-27940", "CVE-2026-33298", "https://github.com/ggml-org/llama.cpp/issues/26978",
    "https://github.com/ggml-org/llama.cpp/issues/27203",
)  # fmt: skip


def overflow(entry: TensorEntry, size: int | None, alignment: int) -> str | None:
    """Return what of a tensor's size does not fit into 64 bits, or None where all of it does."""
    elements = 1
    for dimension in entry.dims:
        elements *= dimension
        if elements > MAX_ELEMENTS:
            # zeros later on do not help: loaders multiply in this order
            return f"{_dims(entry)}: the product reaches 2^{elements.bit_length() - 1}, over 2^63"
    if size is not None and padded(size, alignment) > MAX_BYTES:
        return f"{_dims(entry)} of {type_label(entry.type_id)} with its padding take over 2^64 bytes"
    return None


@BOOK.rule(
    "too-many-dimensions",
    "critical",
    title="a tensor with more than four dimensions",
    why="ggml has room for four; readers that do not check write the others over what lies behind.",
    remedy=NOT_LOADED,
    sources=("https://github.com/antirez/gguf-tools/issues/25", "CVE-2024-21802", FORMAT),
)
def _too_many_dimensions(subject: GgufSubject) -> Iterator[Hit]:
    for problem in subject.walk.problems:
        if problem.code == "dimensions":
            yield Hit(f"{subject.walk.name}@byte {problem.offset}", problem.text)
    for entry in subject.walk.tensors:
        if len(entry.dims) > MAX_DIMENSIONS:
            # pictures and films have tensors of five, which no language model needs
            severity: Severity | None = "high" if len(entry.dims) == MAX_DIMENSIONS + 1 else None
            yield Hit(subject.walk.place_of(entry), f"{len(entry.dims)} dimensions: {_dims(entry)}", severity)


@BOOK.rule(
    "bad-dimension",
    "critical",
    title="a dimension that is negative or zero",
    why="ggml reads dimensions as signed: from 2^63 on they are negative and pass checks for too large. Zero "
    "divides by zero in overflow checks of some versions.",
    remedy=NOT_LOADED,
    sources=("https://github.com/ggml-org/llama.cpp/pull/24263", "CVE-2024-21802"),
)
def _bad_dimension(subject: GgufSubject) -> Iterator[Hit]:
    for entry in subject.walk.tensors:
        if max(entry.dims, default=1) > MAX_ELEMENTS:
            yield Hit(subject.walk.place_of(entry), f"{_dims(entry)}: negative when read as signed")
        elif 0 in entry.dims:
            yield Hit(subject.walk.place_of(entry), f"{_dims(entry)}: no elements", "medium")
        elif not entry.dims:
            yield Hit(subject.walk.place_of(entry), "has no dimensions", "low")


@BOOK.rule(
    "size-overflow",
    "critical",
    title="a tensor whose size does not fit into 64 bits",
    why="The product wraps around: the loader takes a small block of memory for a tensor that its kernels "
    "believe to be huge, and they write and read beyond it. llama.cpp is mended from b7824 (CVE-2026-33298) "
    "and b8146 (CVE-2026-27940) on.",
    remedy=NOT_LOADED,
    sources=OVERFLOWS,
)
def _size_overflow(subject: GgufSubject) -> Iterator[Hit]:
    total, told = 0, False
    for entry, size in _sized(subject):
        why = overflow(entry, size, subject.walk.alignment)
        if why:
            yield Hit(subject.walk.place_of(entry), why)
            continue
        total += 0 if size is None else padded(size, subject.walk.alignment)
        if total > MAX_BYTES and not told:
            told = True
            yield Hit(subject.walk.place_of(entry), "all tensors up to here take over 2^64 bytes")


@BOOK.rule(
    "unknown-type",
    "high",
    title="a tensor of a type that no known runtime has",
    why="Its size and content cannot be judged. A negative number made older builds of "
    "llama.cpp read before the start of a table.",
    remedy=NOT_LOADED,
    sources=("https://github.com/ggml-org/llama.cpp/pull/19856", FORMAT),
)
def _unknown_type(subject: GgufSubject) -> Iterator[Hit]:
    for entry in subject.walk.tensors:
        if not is_known(entry.type_id):
            severity: Severity | None = "critical" if entry.type_id < 0 else None
            yield Hit(
                subject.walk.place_of(entry),
                f"type {entry.type_id}",
                "medium" if entry.type_id in PERHAPS_LATER else severity,
            )


@BOOK.rule(
    "removed-type",
    "medium",
    title="a tensor of a type that ggml gave up",
    why="No runtime of today loads it; old ones that do have known holes.",
    remedy="use a newer quantization of the model",
    sources=(FORMAT,),
)
def _removed_type(subject: GgufSubject) -> Iterator[Hit]:
    for placed, entry in _with_entries(subject):
        if entry.type_id in REMOVED and (placed is None or placed.packing is None or not _borne_out(subject)):
            yield Hit(subject.walk.place_of(entry), f"type {entry.type_id}, {REMOVED[entry.type_id]}")


@BOOK.rule(
    "fork-type",
    "low",
    title="a tensor of a type that only a fork of llama.cpp has",
    why="llama.cpp refuses it, or takes it for another type of that number; its packing is not examined.",
    remedy="load it with that fork only, or use a quantization of ggml's own",
    sources=("https://github.com/ikawrakow/ik_llama.cpp", "https://github.com/microsoft/BitNet"),
)
def _fork_type(subject: GgufSubject) -> Iterator[Hit]:
    for placed, entry in _with_entries(subject):
        if entry.type_id in REMOVED and not (placed and placed.packing and _borne_out(subject)):
            continue
        fork = fork_of(entry.type_id)
        if fork is None and placed and placed.packing in PACKINGS.get(entry.type_id, ())[1:]:
            fork = placed.packing.origin if placed.packing and placed.packing.name != "Q8_1" else None
        if fork:
            yield Hit(subject.walk.place_of(entry), f"type {entry.type_id} of {fork}")


@BOOK.rule(
    "partial-block",
    "high",
    title="rows that are not whole blocks",
    why="llama.cpp refuses it. Loaders that divide and round take too little memory for the last block.",
    remedy=NOT_LOADED,
    sources=("CVE-2026-7482", FORMAT),
)
def _partial_block(subject: GgufSubject) -> Iterator[Hit]:
    for placed in subject.layout.placed:
        if placed.packing and placed.bytes is None:
            packing = placed.packing
            yield Hit(
                subject.walk.place_of(placed.entry),
                f"{_dims(placed.entry)}: rows are no multiple of {packing.weights} ({packing.name})",
            )


@BOOK.rule(
    "misaligned-offset",
    "high",
    title="data that does not begin where alignment puts it",
    why="llama.cpp refuses it; others read the tensor from there, and accelerators fault on it.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _misaligned(subject: GgufSubject) -> Iterator[Hit]:
    unit = subject.walk.alignment
    for entry in subject.walk.tensors:
        if entry.offset % unit:
            yield Hit(
                subject.walk.place_of(entry), f"offset {entry.offset} is no multiple of the alignment {unit}"
            )


@BOOK.rule(
    "tensor-past-end",
    "critical",
    title="a tensor that reaches past the end of the file",
    why="Either the file is cut off, or it is made to make a loader read what lies behind it in memory: "
    "Ollama before 0.17.1 then sends that out with the quantized model.",
    remedy="do not load it; download it again and compare its size with the author's",
    sources=("CVE-2026-7482", "CVE-2024-12055"),
)
def _past_end(subject: GgufSubject) -> Iterator[Hit]:
    size = subject.walk.size
    for placed in subject.layout.placed:
        if placed.end > size and not overflow(placed.entry, placed.bytes, subject.walk.alignment):
            least = "" if placed.bytes is not None else "at least "
            yield Hit(
                subject.walk.place_of(placed.entry),
                f"{type_label(placed.entry.type_id)} {_dims(placed.entry)} from byte {placed.start} ends "
                f"{least}at {placed.end}, the file at {size}",
            )


@BOOK.rule(
    "overlapping-tensors",
    "high",
    title="two tensors that share bytes",
    why="llama.cpp refuses it; in other runtimes one tensor's weights are also another's, and what was "
    "examined under one name runs under the other.",
    remedy=NOT_LOADED,
    sources=(FORMAT,),
)
def _overlapping(subject: GgufSubject) -> Iterator[Hit]:
    before: Placed | None = None
    inside = (placed for placed in subject.layout.placed if placed.end <= subject.walk.size)
    for placed in sorted(inside, key=lambda placed: (placed.start, placed.end)):
        if before is not None and placed.start < before.end and placed.end > placed.start:
            yield Hit(
                subject.walk.place_of(placed.entry),
                f"begins at byte {placed.start}, before {printable(before.entry.name)} ends at {before.end}",
            )
        if before is None or placed.end > before.end:
            before = placed


@BOOK.rule(
    "out-of-order",
    "medium",
    title="tensors that do not lie in the order of their table",
    why="llama.cpp refuses it, loaders that follow offsets read it.",
    remedy=WRITE_AGAIN,
    sources=(FORMAT,),
)
def _out_of_order(subject: GgufSubject) -> Iterator[Hit]:
    for before, placed in zip(subject.layout.placed, subject.layout.placed[1:], strict=False):
        if placed.start < before.start:
            yield Hit(
                subject.walk.place_of(placed.entry),
                f"offset {placed.entry.offset} comes after {before.entry.offset} in the table",
            )


def _dims(entry: TensorEntry) -> str:
    told = " x ".join(str(dimension) for dimension in entry.dims[:8])
    return f"[{told}{' x …' if len(entry.dims) > 8 else ''}]"


def _sized(subject: GgufSubject) -> Iterator[tuple[TensorEntry, int | None]]:
    # a header that breaks off after the table's first entries still shows what those are
    for placed, entry in _with_entries(subject):
        packings = PACKINGS.get(entry.type_id, ())
        yield entry, placed.bytes if placed else packings[0].size(entry.dims) if packings else None


def _with_entries(subject: GgufSubject) -> Iterator[tuple[Placed | None, TensorEntry]]:
    if subject.layout.placed:
        yield from ((placed, placed.entry) for placed in subject.layout.placed)
    else:
        yield from ((None, entry) for entry in subject.walk.tensors)


def _borne_out(subject: GgufSubject) -> bool:
    """Say whether the readings of all types fit the places: then a fork's reading is the right one."""
    return subject.layout.packed
