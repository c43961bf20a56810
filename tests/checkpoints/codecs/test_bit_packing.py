import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.codecs.bit_packing import SUPPORTED_BITS, unpack, words_for


def unpack_columns(words: np.ndarray, bits: int) -> np.ndarray:
    return unpack(np.ascontiguousarray(words.T), bits).T


def packed_one_by_one(codes: np.ndarray, bits: int, words: int) -> np.ndarray:
    """Write each column as one long number, its first code lowest, and cut that into words."""
    out = np.zeros((words, codes.shape[1]), np.uint32)
    for column in range(codes.shape[1]):
        number = 0
        for place, code in enumerate(codes[:, column]):
            number |= int(code) << (place * bits)
        for word in range(words):
            out[word, column] = (number >> (32 * word)) & 0xFFFFFFFF
    return out


def test_words_for() -> None:
    assert [words_for(32, bits) for bits in SUPPORTED_BITS] == [2, 3, 4, 8]
    assert [words_for(33, bits) for bits in SUPPORTED_BITS] == [3, 4, 5, 9]
    assert [words_for(1, bits) for bits in SUPPORTED_BITS] == [1, 1, 1, 1]
    assert words_for(0, 4) == 0


def test_known_words() -> None:
    assert unpack_columns(np.array([[0x76543210]], np.uint32), 4).ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert unpack_columns(np.array([[0xFF020100]], np.uint32), 8).ravel().tolist() == [0, 1, 2, 255]
    assert unpack_columns(np.array([[0xE4E4E4E4]], np.uint32), 2).ravel().tolist() == [0, 1, 2, 3] * 4
    # code 10 has two bits in the first word and one in the second, code 21 one and two
    straddling = np.array([[1 << 31], [1 | 1 << 31], [2]], np.uint32)
    codes = unpack_columns(straddling, 3).ravel()
    assert (codes[10], codes[21]) == (0b110, 0b101)
    assert codes.sum() == 0b110 + 0b101


@pytest.mark.parametrize("bits", SUPPORTED_BITS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_packed_codes_come_back(bits: int, data: st.DataObject) -> None:
    units, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    words = units * (3 if bits == 3 else 1)
    seed = data.draw(st.integers(0, 1 << 32))
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (words * 32 // bits, columns), np.uint8)
    packed = packed_one_by_one(codes, bits, words)
    unpacked = unpack_columns(packed, bits)
    assert unpacked.dtype == np.uint8
    np.testing.assert_array_equal(unpacked, codes)


@pytest.mark.parametrize("bits", SUPPORTED_BITS)
def test_nothing(bits: int) -> None:
    assert unpack(np.empty((5, 0), np.uint32), bits).shape == (5, 0)
    assert unpack(np.empty((0, 3), np.uint32), bits).shape == (0, 96 // bits)


@pytest.mark.parametrize("bits", SUPPORTED_BITS)
def test_the_words_are_left_alone(bits: int) -> None:
    words = np.full((2, 3), 0xDEADBEEF, np.uint32)
    unpack(words, bits)
    assert (words == 0xDEADBEEF).all()
