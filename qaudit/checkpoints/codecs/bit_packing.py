"""Small unsigned codes out of 32-bit words, as GPTQ, AWQ and compressed-tensors pack them.

Codes follow each other from the lowest bit of the first word; with 3 bits a code may straddle two
words, and 32 codes fill three.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Codes = NDArray[np.uint8]
SUPPORTED_BITS = (2, 3, 4, 8)


def words_for(codes: int, bits: int) -> int:
    """Return how many words so many codes fill; the last one may have unused bits."""
    return math.ceil(codes * bits / 32)


def unpack(words: Words, bits: int) -> Codes:
    """Unpack codes along the last axis.

    Args:
        words: packed along the last axis; for 3 bits a multiple of three of them.
        bits: 2, 3, 4 or 8.

    Shapes:
        words uint32 [R, W]; returns uint8 [R, W * 32 // bits].
    """
    rows, count = words.shape
    if bits == 3:
        return _unpack_three(words)
    # the bytes of a word are its codes in order: 8-bit codes lie ready, others share a byte
    lanes = np.ascontiguousarray(words, "<u4").view(np.uint8).reshape(rows, count * 4)
    if bits == 8:
        return lanes
    per_byte = 8 // bits
    out = np.empty((rows, count * 4, per_byte), np.uint8)
    for place in range(per_byte):
        np.right_shift(lanes, place * bits, out=out[:, :, place])
    out &= (1 << bits) - 1
    return out.reshape(rows, count * 4 * per_byte)


def _unpack_three(words: Words) -> Codes:
    rows, count = words.shape
    triples = [words.reshape(rows, count // 3, 3)[:, :, i] for i in range(3)]
    out = np.empty((rows, count // 3, 32), np.uint8)
    for code in range(32):
        word, bit = divmod(3 * code, 32)
        value: NDArray[Any] = triples[word] >> np.uint32(bit)
        if bit > 29:
            value = value | (triples[word + 1] << np.uint32(32 - bit))
        out[:, :, code] = value & 7
    return out.reshape(rows, count // 3 * 32)
