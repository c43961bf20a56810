"""AWQ as AutoAWQ stores it: 4-bit codes, eight to an int32 word, in two layouts.

"gemm": `qweight` [I, O/8], `qzeros` [G, O/8], `scales` [G, O]; a word holds eight neighbouring outputs
in the order 0 2 4 6 1 3 5 7. "gemv": `qweight` [O, I/8], `qzeros` [O, Z], `scales` [O, 8*Z] in natural
order along the inputs, where Z leaves room beyond the groups that are used.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.codecs.bit_packing import Codes, unpack
from qaudit.checkpoints.codecs.grouped import dequantize
from qaudit.checkpoints.codecs.module_parts import FLOATS, ModuleParts
from qaudit.checkpoints.raw_tensors import FloatArray

PER_WORD = 8
# output j of a word's eight lies in nibble _NIBBLE_OF[j]: the inverse of 0 2 4 6 1 3 5 7
_NIBBLE_OF = (0, 4, 1, 5, 2, 6, 3, 7)


@dataclass(frozen=True, slots=True)
class AwqGemm:
    """A matrix in the "gemm" layout. `group_size` is inputs per group; -1 for all inputs."""

    group_size: int

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        parts.require("qweight", {"I32"}, (None, None))
        inputs, words = parts.shape("qweight")
        groups = _groups(parts, inputs, self.group_size)
        parts.require("qzeros", {"I32"}, (groups, words))
        parts.require("scales", FLOATS, (groups, words * PER_WORD))
        return words * PER_WORD, inputs

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        first, last = start // PER_WORD, -(-stop // PER_WORD)
        # turned round while they are packed, an eighth of the size
        packed = np.ascontiguousarray(parts.read("qweight").array()[:, first:last].T)
        offset = start - first * PER_WORD

        def codes_of(low: int, high: int) -> Codes:
            low, high = low + offset, high + offset
            word = low // PER_WORD
            codes = _by_output(packed[word : -(-high // PER_WORD)])
            return codes[low - word * PER_WORD : high - word * PER_WORD]

        zeros = _by_output(np.ascontiguousarray(parts.read("qzeros").array()[:, first:last].T))
        scales = parts.read("scales").floats()[:, start:stop].T
        group_of = _in_order(packed.shape[1], self.group_size)
        return dequantize(codes_of, zeros[offset : offset + stop - start], scales, group_of)


@dataclass(frozen=True, slots=True)
class AwqGemv:
    """A matrix in the "gemv" layout. `group_size` is inputs per group; -1 for all inputs."""

    group_size: int

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        parts.require("qweight", {"I32"}, (None, None))
        outputs, words = parts.shape("qweight")
        inputs = words * PER_WORD
        groups = _groups(parts, inputs, self.group_size)
        parts.require("qzeros", {"I32"}, (outputs, None))
        room = parts.shape("qzeros")[1] * PER_WORD
        parts.require("scales", FLOATS, (outputs, room))
        if room < groups:
            raise parts.malformed(f"room for {room} groups of {self.group_size}, {groups} needed")
        return outputs, inputs

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        words = parts.read("qweight", start, stop).array().view(np.uint32)
        group_of = _in_order(words.shape[1] * PER_WORD, self.group_size)
        groups = int(group_of[-1]) + 1
        zeros = unpack(parts.read("qzeros", start, stop).array().view(np.uint32), 4)[:, :groups]
        scales = parts.read("scales", start, stop).floats()[:, :groups]
        return dequantize(lambda low, high: unpack(words[low:high], 4), zeros, scales, group_of)


def _group(inputs: int, group_size: int) -> int:
    return inputs if group_size == -1 else group_size


def _groups(parts: ModuleParts, inputs: int, group_size: int) -> int:
    group = _group(inputs, group_size)
    if not inputs or inputs % group:
        raise parts.malformed(f"{inputs} inputs are not whole groups of {group}")
    return inputs // group


def _in_order(inputs: int, group_size: int) -> NDArray[np.intp]:
    return np.arange(inputs, dtype=np.intp) // _group(inputs, group_size)


def _by_output(packed: NDArray[Any]) -> Codes:
    """Return the codes of words [O/8, N] as [O, N]."""
    # a plane for each byte of a word first, so that what follows runs along whole rows
    planes = np.ascontiguousarray(packed.view(np.uint8).reshape(*packed.shape, 4).transpose(0, 2, 1))
    codes = np.empty((len(packed), PER_WORD, packed.shape[1]), np.uint8)
    for output, nibble in enumerate(_NIBBLE_OF):
        byte, high = divmod(nibble, 2)
        if high:
            np.right_shift(planes[:, byte], 4, out=codes[:, output])
        else:
            np.bitwise_and(planes[:, byte], 15, out=codes[:, output])
    return codes.reshape(-1, packed.shape[1])
