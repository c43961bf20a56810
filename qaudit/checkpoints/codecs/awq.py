"""AWQ as AutoAWQ stores it: 4-bit codes, eight to an int32 word, in two layouts.

"gemm": `qweight` [I, O/8], `qzeros` [G, O/8], `scales` [G, O]; a word holds eight neighbouring outputs
in the order 0 2 4 6 1 3 5 7. "gemv": `qweight` [O, I/8], `qzeros` [O, Z], `scales` [O, 8*Z] in natural
order along the inputs, where Z leaves room beyond the groups that are used.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.codecs.bit_packing import Codes, Words, unpack
from qaudit.checkpoints.codecs.grouped import dequantize
from qaudit.checkpoints.codecs.module_parts import FLOATS, ModuleParts
from qaudit.checkpoints.raw_tensors import FloatArray

PER_WORD = 8
# output j of a word's eight lies in nibble _NIBBLE_OF[j]: the inverse of 0 2 4 6 1 3 5 7
_NIBBLE_OF = np.array([0, 4, 1, 5, 2, 6, 3, 7])


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
        codes = _interleaved(parts.read("qweight").array()[:, first:last])
        zeros = _interleaved(parts.read("qzeros").array()[:, first:last])
        scales = parts.read("scales").floats()
        keep = slice(start - first * PER_WORD, stop - first * PER_WORD)
        group_of = np.arange(len(codes), dtype=np.intp) // _group(len(codes), self.group_size)
        return dequantize(codes[:, keep], zeros[:, keep], scales[:, start:stop], group_of)


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
        codes = _along_inputs(parts.read("qweight", start, stop).array())
        group = _group(codes.shape[1], self.group_size)
        groups = codes.shape[1] // group
        zeros = _along_inputs(parts.read("qzeros", start, stop).array())[:, :groups]
        scales = parts.read("scales", start, stop).floats()[:, :groups]
        weights = codes.reshape(-1, groups, group).astype(np.float32)
        with np.errstate(all="ignore"):
            weights -= zeros[:, :, None]
            weights *= scales[:, :, None]
        return weights.reshape(codes.shape)


def _group(inputs: int, group_size: int) -> int:
    return inputs if group_size == -1 else group_size


def _groups(parts: ModuleParts, inputs: int, group_size: int) -> int:
    group = _group(inputs, group_size)
    if not inputs or inputs % group:
        raise parts.malformed(f"{inputs} inputs are not whole groups of {group}")
    return inputs // group


def _interleaved(words: NDArray[Any]) -> Codes:
    rows, count = words.shape
    codes = unpack(np.ascontiguousarray(words.view(np.uint32).reshape(1, -1)), 4).reshape(
        PER_WORD, rows, count
    )
    in_order: Codes = codes[_NIBBLE_OF].transpose(1, 2, 0).reshape(rows, count * PER_WORD)
    return in_order


def _along_inputs(words: NDArray[Any]) -> Codes:
    packed: Words = np.ascontiguousarray(words.view(np.uint32).T)
    return np.ascontiguousarray(unpack(packed, 4).T)
