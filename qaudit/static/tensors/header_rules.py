"""Rules over the structure of one safetensors file: its header, and where its tensors lie."""

from collections.abc import Callable, Iterator

from qaudit.findings import Severity
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.dtypes import BITS, NEWER
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor

BOOK: RuleBook[SafetensorsWalk] = RuleBook("safetensors", "structure of safetensors files")
FORMAT = "https://huggingface.co/docs/safetensors"
AUDIT = "https://blog.trailofbits.com (safetensors security review, 2023)"
FETCH_AGAIN = "download it again; if it stays so, do not load it"
REFUSE = "do not load it; ask its author for a file written by the safetensors library"
MANY_EMPTY = 1000


def _noted(code: str) -> Callable[[SafetensorsWalk], Iterator[Hit]]:
    def hits(walk: SafetensorsWalk) -> Iterator[Hit]:
        for problem in walk.problems:
            if problem.code == code:
                yield Hit(f"{walk.name}@byte {problem.offset}", problem.text)

    return hits


def _rule(code: str, severity: Severity, title: str, why: str, remedy: str, *sources: str) -> None:
    BOOK.rule(code, severity, title=title, why=why, remedy=remedy, sources=(FORMAT, *sources))(_noted(code))


_rule(
    "header-length", "high", "the header does not fit the file",
    "The first eight bytes tell a length that the file, or the cap of loaders, does not allow.",
    FETCH_AGAIN,
)  # fmt: skip
_rule(
    "not-json", "high", "the header is not one JSON object",
    "A header that is broken, nested without end or followed by more is read differently by each parser.",
    REFUSE,
)  # fmt: skip
_rule(
    "padding", "low", "the header is padded with something other than spaces",
    "The format pads with spaces only; what writes otherwise is not the reference implementation.",
    "ask what wrote the file",
)  # fmt: skip
_rule(
    "duplicate-key", "high", "a name stands twice in the header",
    "One parser keeps the first, another the last: what was audited is not what is loaded.",
    REFUSE, AUDIT,
)  # fmt: skip
_rule(
    "entry", "high", "an entry is not dtype, shape and data_offsets",
    "Loaders refuse it, or read what their author did not foresee.",
    REFUSE,
)  # fmt: skip
_rule(
    "dtype", "medium", "a type that the format does not have",
    "Loaders that do not know a type cannot tell its size, on which every check of bounds rests.",
    "find out which program reads this type, and update it",
)  # fmt: skip
_rule(
    "size", "high", "a tensor's bytes are not what its shape and type need",
    "A loader that trusts the shape reads outside the tensor, one that trusts the offsets other values.",
    REFUSE, AUDIT,
)  # fmt: skip
_rule(
    "overflow", "critical", "a tensor's size overflows 64 bits",
    "A loader that multiplies without a check gets a small size, and writes past the end of its buffer.",
    "do not load it, and report who offers it", AUDIT, "CWE-190",
)  # fmt: skip
_rule(
    "offsets", "high", "a tensor ends before it begins",
    "Its length is negative, which becomes a huge one where numbers are unsigned.",
    REFUSE, AUDIT,
)  # fmt: skip
_rule(
    "dimensions", "medium", "a tensor has more dimensions than any weight",
    "Fixed arrays of dimensions in native loaders overflow with such tensors.",
    "look at who wrote the file",
)  # fmt: skip
_rule(
    "metadata-type", "high", "__metadata__ is not an object of strings",
    "The reference loader refuses it; others carry foreign objects into programs that expect text.",
    REFUSE,
)  # fmt: skip
_rule(
    "many-entries", "medium", "more tensors than one file honestly holds",
    "A header of a hundred thousand entries exists to exhaust who parses it.",
    "do not load it in a service",
)  # fmt: skip


@BOOK.rule(
    "truncated", "high",
    title="a tensor lies outside the file",
    why="The file was cut off, or its header lies; a loader without a check reads beyond its mapping.",
    remedy=FETCH_AGAIN, sources=(FORMAT, AUDIT),
)  # fmt: skip
def truncated(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find tensors that end after the file."""
    room = walk.size - walk.data_start
    for tensor in walk.tensors:
        if tensor.end > room:
            yield _at(walk, tensor, f"its data ends at {tensor.end}, the file has {max(room, 0)} bytes of it")


@BOOK.rule(
    "overlap", "high",
    title="two tensors share bytes",
    why="The format forbids it: writing one changes the other, and who reads one does not see both.",
    remedy=REFUSE, sources=(FORMAT, AUDIT),
)  # fmt: skip
def overlap(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find tensors that begin before another one ends."""
    last: StoredTensor | None = None
    for tensor in walk.in_order():
        if last is not None and tensor.begin < last.end and tensor.size:
            yield _at(walk, tensor, f"begins at {tensor.begin}, inside {last.name[:80]!a} ({last.end})")
        if last is None or tensor.end > last.end:
            last = tensor


@BOOK.rule(
    "hole", "high",
    title="bytes between tensors belong to nothing",
    why="The format forbids holes: a payload or a second file can lie there unseen by every loader.",
    remedy=REFUSE, sources=(FORMAT, AUDIT),
)  # fmt: skip
def hole(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find gaps before, and between, tensors."""
    end = 0
    for tensor in walk.in_order() if walk.complete else ():
        if tensor.begin > end:
            yield _at(walk, tensor, f"{tensor.begin - end} bytes before it, from {end}, belong to nothing")
        end = max(end, tensor.end)


@BOOK.rule(
    "trailing-bytes", "high",
    title="bytes after the last tensor belong to nothing",
    why="The format forbids them: an archive, a script or a second model can be appended and shipped unseen.",
    remedy=REFUSE, sources=(FORMAT, AUDIT, "CVE-2025-1889"),
)  # fmt: skip
def trailing(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find what follows the data."""
    if not walk.complete or walk.data_start > walk.size:
        return
    end = walk.data_start + max((tensor.end for tensor in walk.tensors), default=0)
    if end < walk.size:
        told = f"{walk.size - end} bytes{f', which begin as {walk.tail}' if walk.tail else ''}"
        yield Hit(f"{walk.name}@byte {end}", told)


@BOOK.rule(
    "empty-tensors", "medium",
    title="a great many tensors without a value",
    why="Empty tensors cost nothing in the file, and memory in whoever loads it.",
    remedy="do not load it in a service", sources=(FORMAT,),
)  # fmt: skip
def empty(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Count tensors of no bytes."""
    count = sum(1 for tensor in walk.tensors if not tensor.size)
    if count > MANY_EMPTY:
        yield Hit(walk.name, f"{count} of {len(walk.tensors)} tensors hold nothing")


@BOOK.rule(
    "empty-inside", "medium",
    title="an empty tensor lies inside another one",
    why="Some versions of the reference loader refuse this and others take it: checks and loaders differ.",
    remedy=REFUSE, sources=(FORMAT,),
)  # fmt: skip
def empty_inside(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find tensors of no bytes whose place is not a border between tensors."""
    end = 0
    for tensor in walk.in_order():
        if not tensor.size and tensor.begin < end:
            yield _at(walk, tensor, f"holds nothing and lies at {tensor.begin}, where another tensor is")
        end = max(end, tensor.end)


@BOOK.rule(
    "unaligned", "info",
    title="data is not aligned to its type",
    why="The reference implementation aligns; loaders that map the file have to copy, native ones may crash.",
    remedy="none needed on common hardware", sources=(FORMAT,),
)  # fmt: skip
def unaligned(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Find the first tensor at an odd place."""
    for tensor in walk.tensors:
        width = max(1, BITS.get(tensor.dtype, 8) // 8)
        if tensor.size and (walk.data_start + tensor.begin) % width:
            yield _at(walk, tensor, f"{tensor.dtype} at byte {walk.data_start + tensor.begin} of the file")
            return


@BOOK.rule(
    "new-dtype", "info",
    title="a type that only newer loaders know",
    why="Types of 4 and 6 bits, and some 8-bit floats, came late to the format; older loaders refuse them.",
    remedy="update safetensors to 0.6 or later", sources=(FORMAT,),
)  # fmt: skip
def new_dtype(walk: SafetensorsWalk) -> Iterator[Hit]:
    """Tell which newer types a file has."""
    found = sorted({tensor.dtype for tensor in walk.tensors} & NEWER)
    if found:
        yield Hit(walk.name, ", ".join(found))


def _at(walk: SafetensorsWalk, tensor: StoredTensor, evidence: str) -> Hit:
    return Hit(f"{walk.name}:{_visible(tensor.name)}", evidence)


def _visible(name: str) -> str:
    return ascii(name[:120])[1:-1]
