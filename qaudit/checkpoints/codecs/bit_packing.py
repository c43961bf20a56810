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
    """Unpack codes along the first axis.

    Args:
        words: packed along the first axis; for 3 bits a multiple of three of them.
        bits: 2, 3, 4 or 8.

    Shapes:
        words uint32 [W, C]; returns uint8 [W * 32 // bits, C].
    """
    count, columns = words.shape
    if bits == 3:
        return _unpack_three(words)
    per_word = 32 // bits
    # the bytes of a word are its codes in order: 8-bit codes lie ready, others share a byte
    lanes = words.astype("<u4", copy=False).view(np.uint8).reshape(count, columns, 4).transpose(0, 2, 1)
    if bits == 8:
        return lanes.reshape(count * 4, columns)
    out = np.empty((count, 4, per_word // 4, columns), np.uint8)
    for place in range(per_word // 4):
        np.right_shift(lanes, place * bits, out=out[:, :, place])
    out &= (1 << bits) - 1
    return out.reshape(count * per_word, columns)


def _unpack_three(words: Words) -> Codes:
    count, columns = words.shape
    low, middle, high = (words.reshape(count // 3, 3, columns)[:, i] for i in range(3))
    out = np.empty((count // 3, 32, columns), np.uint8)
    for code in range(32):
        word, bit = divmod(3 * code, 32)
        value: NDArray[Any] = (low, middle, high)[word] >> np.uint32(bit)
        if bit > 29:
            value = value | ((low, middle, high)[word + 1] << np.uint32(32 - bit))
        out[:, code] = value & 7
    return out.reshape(count // 3 * 32, columns)
