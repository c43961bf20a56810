"""Values of small tensors and of scales, read in bounded pieces; numpy is imported when there are any.

A file below 64 MB is read whole, a longer one only where `--deep` asks for it: else the beginning of each
tensor is looked at, within a budget, and the surface says so.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qaudit.static.byte_source import ByteSource
from qaudit.static.tensors.dtypes import BITS
from qaudit.static.tensors.weight_files import Held

if TYPE_CHECKING:
    from qaudit.checkpoints.raw_tensors import FloatArray

WHOLE_BELOW = 64 << 20  # bytes of a file
SAMPLE = 16 << 10  # bytes of a tensor
INDEX_SAMPLE = 256 << 10
BUDGET = 32 << 20  # bytes of a folder
PIECE = 4 << 20
_WHOLE_NUMBERS = {
    "I64": "q",
    "I32": "i",
    "I16": "h",
    "I8": "b",
    "U64": "Q",
    "U32": "I",
    "U16": "H",
    "U8": "B",
    "BOOL": "?",
}
_READ_AS_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0"})


@dataclass(slots=True)
class Budget:
    """How much may still be read, and whether anything was left out for it.

    Attributes:
        left: bytes of long files.
        whole: bytes of files that are read whole; tensors that share bytes use it up.
    """

    deep: bool = False
    left: int = BUDGET
    whole: int = 1 << 62
    sampled: int = 0
    read: int = 0

    def of(self, source: ByteSource, size: int, sample: int) -> int:
        """Return how many bytes of a tensor of `size` may be read."""
        self.read += 1
        if self.deep or source.size <= WHOLE_BELOW:
            granted = min(size, self.whole)
            self.whole -= granted
            return granted
        granted = min(size, sample, self.left)
        self.left -= granted
        if granted < size:
            self.sampled += 1
        return granted


@dataclass(slots=True)
class ScaleFacts:
    """What was seen of the values of one tensor."""

    count: int = 0
    not_finite: int = 0
    negative: int = 0
    zero: int = 0
    first: str = ""


@dataclass(slots=True)
class IndexFacts:
    """What was seen of a `g_idx`: its extremes, and whether inputs lie in their groups in order."""

    count: int = 0
    lowest: int = 0
    highest: int = 0
    in_order: bool = True
    first_bad: int | None = field(default=None)


def whole_numbers(source: ByteSource, held: Held, most: int = 16) -> tuple[int, ...]:
    """Return the first few whole numbers of a small tensor; empty where it holds none.

    Raises:
        InputError: the file cannot be read.
    """
    code = _WHOLE_NUMBERS.get(held.tensor.dtype)
    if code is None:
        return ()
    width = struct.calcsize(code)
    data = raw_bytes(source, held, most * width)
    return tuple(
        int(v) for v in struct.unpack(f"<{len(data) // width}{code}", data[: len(data) // width * width])
    )


def raw_bytes(source: ByteSource, held: Held, most: int) -> bytes:
    """Return the first bytes of a tensor."""
    return source.read_at(held.walk.data_start + held.tensor.begin, min(held.tensor.size, most))


def scale_facts(
    source: ByteSource, held: Held, budget: Budget, dtype: str | None = None
) -> ScaleFacts | None:
    """Look at the values of a tensor of floats; None where its type is not read.

    Args:
        source: the tensor's file.
        held: the tensor.
        budget: what may be read.
        dtype: to read it as, where that is not its own type.
    """
    dtype = dtype or held.tensor.dtype
    if dtype not in _READ_AS_FLOATS:
        return None
    import numpy as np

    facts = ScaleFacts()
    for at, values in _floats(source, held, budget, dtype):
        finite = np.isfinite(values)
        bad = len(values) - int(np.count_nonzero(finite))
        if bad and not facts.not_finite:
            where = int(np.argmin(finite))
            facts.first = f"{values[where]} at value {at + where}"
        facts.count += len(values)
        facts.not_finite += bad
        with np.errstate(all="ignore"):
            facts.negative += int(np.count_nonzero(values < 0))
        facts.zero += int(np.count_nonzero(values == 0))
    return facts


def index_facts(
    source: ByteSource, held: Held, budget: Budget, group_size: int | None, groups: int
) -> IndexFacts | None:
    """Look at the groups that a `g_idx` names; None where its type is not read."""
    if held.tensor.dtype not in ("I32", "I64"):
        return None
    import numpy as np

    kind = "<i4" if held.tensor.dtype == "I32" else "<i8"
    width = BITS[held.tensor.dtype] // 8
    facts = IndexFacts()
    for at, data in _pieces(source, held, budget.of(source, held.tensor.size, INDEX_SAMPLE), width):
        values = np.frombuffer(data, kind).astype(np.int64)
        first = not facts.count
        facts.lowest = int(values.min()) if first else min(facts.lowest, int(values.min()))
        facts.highest = int(values.max()) if first else max(facts.highest, int(values.max()))
        facts.count += len(values)
        bad = (values < 0) | (values >= groups)
        if facts.first_bad is None and bad.any():
            facts.first_bad = at // width + int(np.argmax(bad))
        if group_size:
            natural = np.arange(at // width, at // width + len(values)) // group_size
            facts.in_order = facts.in_order and bool((values == natural).all())
    return facts if facts.count else None


def _floats(source: ByteSource, held: Held, budget: Budget, dtype: str) -> Iterator[tuple[int, "FloatArray"]]:
    # the decoder of qaudit.checkpoints; importing it costs numpy
    from qaudit.checkpoints.raw_tensors import RawTensor

    width = BITS[dtype] // 8
    for at, data in _pieces(source, held, budget.of(source, held.tensor.size, SAMPLE), width):
        yield at // width, RawTensor(dtype, (len(data) // width,), data).floats()


def _pieces(source: ByteSource, held: Held, size: int, width: int) -> Iterator[tuple[int, bytes]]:
    start = held.walk.data_start + held.tensor.begin
    size -= size % width
    for at in range(0, size, PIECE):
        data = source.read_at(start + at, min(PIECE, size - at))
        data = data[: len(data) - len(data) % width]
        if not data:
            return
        yield at, data


def by_file(tensors: Sequence[Held]) -> list[tuple[str, list[Held]]]:
    """Return tensors by the file that they lie in, each file's in the order of their places."""
    found: dict[str, list[Held]] = {}
    for held in tensors:
        found.setdefault(held.entry.path, []).append(held)
    return [(path, sorted(found[path], key=lambda held: held.tensor.begin)) for path in sorted(found)]
