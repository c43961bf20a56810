"""GPTQ as AutoGPTQ and GPTQModel store it: int32 words packed along the inputs.

`qweight` [I*b/32, O], `qzeros` [G, O*b/32], `scales` [G, O], `g_idx` [I] (the group of each input;
shuffled with act-order). Version 1 ("gptq") stores zeros less one, taken from and added to all codes
of a word at once by GPTQModel, so that a zero of 0 borrows from the next code and gets it back;
version 2 ("gptq_v2") stores them as they are. 3-bit codes may straddle words and are counted one by
one.
"""

from dataclasses import dataclass

import numpy as np

from qaudit.checkpoints.codecs.bit_packing import Codes, Words, unpack, words_for
from qaudit.checkpoints.codecs.grouped import dequantize
from qaudit.checkpoints.codecs.module_parts import FLOATS, ModuleParts
from qaudit.checkpoints.raw_tensors import FloatArray


@dataclass(frozen=True, slots=True)
class Gptq:
    """A GPTQ matrix.

    Attributes:
        bits: 2, 3, 4 or 8.
        group_size: inputs per group where there is no g_idx; -1 for all inputs.
        zeros_less_one: version 1.
    """

    bits: int
    group_size: int
    zeros_less_one: bool

    def shape(self, parts: ModuleParts) -> tuple[int, int]:
        """Return (outputs, inputs); see `Codec`."""
        parts.require("qweight", {"I32"}, (None, None))
        words, outputs = parts.shape("qweight")
        if words == 0 or words * 32 % self.bits or (self.bits == 3 and words % 3):
            raise parts.malformed(
                f"qweight has {words} words for each output, not whole {self.bits}-bit codes"
            )
        inputs = words * 32 // self.bits
        parts.require("scales", FLOATS, (None, outputs))
        groups = parts.shape("scales")[0]
        parts.require("qzeros", {"I32"}, (groups, words_for(outputs, self.bits)))
        if "g_idx" in parts:
            parts.require("g_idx", {"I32", "I64"}, (inputs,))
        elif groups * self._group(inputs) < inputs:
            raise parts.malformed(f"{groups} groups of {self._group(inputs)} do not cover {inputs} inputs")
        return outputs, inputs

    def rows(self, parts: ModuleParts, start: int, stop: int) -> FloatArray:
        """Decode rows; see `Codec`."""
        words = parts.read("qweight").array().view(np.uint32)
        scales = parts.read("scales").floats()
        # turned round while they are packed, an eighth of the size
        packed = np.ascontiguousarray(words[:, start:stop].T)
        zeros = self._zeros(parts.read("qzeros").array().view(np.uint32), words.shape[1])
        group_of = self._groups(parts, words.shape[0] * 32 // self.bits, len(scales))
        return dequantize(
            lambda low, high: unpack(packed[low:high], self.bits),
            zeros[:, start:stop].T,
            scales[:, start:stop].T,
            group_of,
        )

    def _group(self, inputs: int) -> int:
        return inputs if self.group_size == -1 else self.group_size

    def _groups(
        self, parts: ModuleParts, inputs: int, groups: int
    ) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        if "g_idx" not in parts:
            return np.arange(inputs, dtype=np.intp) // self._group(inputs)
        given = parts.read("g_idx").array().astype(np.intp)
        if given.size and not 0 <= given.min() <= given.max() < groups:
            raise parts.malformed(f"g_idx names group {given.max()} (or a negative one) of {groups}")
        return given

    def _zeros(self, words: Words, outputs: int) -> Codes:
        if self.bits == 3:
            # codes that straddle words make adding to whole words wrong, so that it is done code by code
            stored = unpack(np.pad(words, ((0, 0), (0, -words.shape[1] % 3))), 3)[:, :outputs]
            return (stored + np.uint8(1)) & np.uint8(7) if self.zeros_less_one else stored
        if self.zeros_less_one:
            words = words + np.uint32(sum(1 << bit for bit in range(0, 32, self.bits)))
        return unpack(words, self.bits)[:, :outputs]
