"""Values of the tensors of floats in one file: NaN and infinity have no place in a weight.

Read where the file is below 64 MB, or `--deep` asks for it; numpy is imported then. Bit patterns are
looked at, which is faster than making floats of them: no value is finite whose exponent is all ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from qaudit.findings import Severity
from qaudit.static.byte_source import ByteSource
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.tensors.safetensors_walk import SafetensorsWalk, StoredTensor
from qaudit.static.tensors.value_reading import WHOLE_BELOW

PIECE = 4 << 20
# unsigned integers of the same width, and the bits of the exponent (E4M3: of the one pattern for NaN)
_EXPONENTS = {
    "F64": ("<u8", 0x7FF << 52), "F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80),
    "F8_E4M3": ("u1", 0x7F), "F8_E5M2": ("u1", 0x7C),
}  # fmt: skip
# buffers, such as masks, hold infinities on purpose
MOST_MASKED = 0.9
_WEIGHTS = (".weight", ".bias", "_proj", "_weight", "_bias", ".A_log", ".scales")


@dataclass(frozen=True, slots=True)
class ValueCase:
    """One file whose data lies at hand."""

    source: ByteSource
    walk: SafetensorsWalk


BOOK: RuleBook[ValueCase] = RuleBook("values", "values of floating-point weights")


def is_read(source: ByteSource, *, deep: bool) -> bool:
    """Return whether a file's values are looked at."""
    return source.local and (deep or source.size <= WHOLE_BELOW)


@BOOK.rule(
    "not-finite", "high",
    title="a weight is NaN or infinite",
    why="It spreads to every answer that touches it; no training or quantizing that went well leaves one.",
    remedy="download it again; if it stays so, ask its author", sources=("IEEE 754", "OCP 8-bit floats 1.0"),
)  # fmt: skip
def not_finite(case: ValueCase) -> Iterator[Hit]:
    """Find floats whose exponent is all ones."""
    left = (
        case.source.size
    )  # tensors that share bytes, which the format forbids, are not read again and again
    for tensor in case.walk.tensors:
        if not 0 < tensor.size <= left:
            continue
        left -= tensor.size
        count, nans, first = _counted(case, tensor)
        if count:
            share = count / max(1, tensor.elements)
            kinds = f"of which {nans} are NaN; the first is value {first}"
            told = f"{count} of {tensor.elements} ({share:.1%}), {kinds}"
            yield Hit(
                f"{case.walk.name}:{ascii(tensor.name[:160])[1:-1]}", told, _severity(tensor, nans, share)
            )


def _severity(tensor: StoredTensor, nans: int, share: float) -> Severity | None:
    """Return how grave it is: masks are infinite in part, but no buffer is NaN or infinite throughout."""
    if tensor.name.endswith(_WEIGHTS):
        return None
    return "medium" if nans or share > MOST_MASKED else "info"


def _counted(case: ValueCase, tensor: StoredTensor) -> tuple[int, int, int]:
    """Return how many values are not finite, how many of them are NaN, and the place of the first."""
    kind, exponent = _EXPONENTS.get(tensor.dtype, ("", 0))
    if not kind:
        return 0, 0, 0
    import numpy as np

    width = np.dtype(kind).itemsize
    start = case.walk.data_start + tensor.begin
    end = min(case.walk.data_start + tensor.end, case.source.size)
    mask = np.array(exponent, kind)
    # infinity has the exponent and nothing else; the 8-bit type without infinities has one pattern, NaN
    unsigned = np.array((1 << (8 * width - 1)) - 1, kind)
    infinite = 0 if tensor.dtype == "F8_E4M3" else mask
    count, nans, first = 0, 0, 0
    for at in range(start, end, PIECE):
        data = case.source.read_at(at, min(PIECE, end - at))
        values = np.frombuffer(data[: len(data) // width * width], kind)
        bad = (values & mask) == mask
        if bad.any():
            first = first if count else (at - start) // width + int(np.argmax(bad))
            count += int(np.count_nonzero(bad))
            nans += int(np.count_nonzero((values[bad] & unsigned) != infinite))
    return count, nans, first
