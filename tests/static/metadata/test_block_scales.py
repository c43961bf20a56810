import struct

import numpy as np
import pytest
from gguf import quants
from gguf.constants import GGMLQuantizationType
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.gguf.ggml_types import PACKINGS
from qaudit.static.metadata.block_scales import LAYOUTS, first_unsound, tiny_scales, unsound, zero_rows

# types that gguf-py can decode, so that it can say what a block's numbers are
DECODED = (0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 29, 30, 34, 35, 39)


def finite(kind: int, block: bytes) -> bool:
    with np.errstate(all="ignore"):
        rows = np.frombuffer(block, np.uint8).reshape(1, -1)
        return bool(np.isfinite(quants.dequantize(rows, GGMLQuantizationType(kind))).all())


def test_blocks_are_those_of_ggml() -> None:
    for kind, layout in LAYOUTS.items():
        assert any((p.weights, p.bytes) == (layout.weights, layout.size) for p in PACKINGS[kind])


@pytest.mark.parametrize("kind", DECODED)
@given(data=st.data())
def test_a_block_is_unsound_where_decoding_it_gives_no_number(kind: int, data: st.DataObject) -> None:
    layout = LAYOUTS[kind]
    block = bytearray(data.draw(st.binary(min_size=layout.size, max_size=layout.size)))
    if data.draw(st.booleans()):  # random bytes are rarely an exponent that is full
        for test in layout.tests:
            for offset, wanted in test:
                block[offset] = data.draw(st.sampled_from(sorted(wanted)))
    told = unsound(layout, bytes(block))
    # a scale that is not finite spoils its block, unless every code and sub-scale is nothing by chance
    if told == 0:
        assert finite(kind, bytes(block))
        assert first_unsound(layout, bytes(block)) is None
    else:
        assert not finite(kind, bytes(block)) or kind in (10, 11, 12, 13, 14)
        assert first_unsound(layout, bytes(block)) is not None


def test_where_the_first_lies() -> None:
    sound, nan = struct.pack("<e", 0.5) + bytes(32), struct.pack("<e", float("nan")) + bytes(32)
    data = sound * 3 + nan + sound + nan
    assert unsound(LAYOUTS[8], data) == 2
    assert first_unsound(LAYOUTS[8], data) == 3 * 34 + 1


def test_rows_of_zeros() -> None:
    zero, some = bytes(2) + b"\x88" * 16, struct.pack("<e", -0.5) + b"\x88" * 16
    minus = b"\x00\x80" + b"\x88" * 16
    assert zero_rows(LAYOUTS[2], (zero + zero) + (zero + some) + (some + some) + (minus + zero), 36) == (4, 2)
    assert zero_rows(LAYOUTS[0], struct.pack("<4f", 0, 0.0, 0, 1), 8) == (2, 1)
    assert zero_rows(LAYOUTS[12], bytes(144 * 4), 144) == (0, 0)
    assert zero_rows(LAYOUTS[2], b"", 0) == (0, 0)


def test_scales_that_are_next_to_nothing() -> None:
    tiny, some = struct.pack("<e", 6e-8) + bytes(32), struct.pack("<e", 0.01) + bytes(32)
    assert tiny_scales(8, tiny * 9 + some) == 9
    assert tiny_scales(8, some * 9 + tiny) == 0
    assert tiny_scales(14, bytes(210)) == 0
