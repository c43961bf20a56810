import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from qaudit.checkpoints.codecs.bit_packing import SUPPORTED_BITS as READ_BITS  # noqa: E402
from qaudit.checkpoints.codecs.bit_packing import unpack  # noqa: E402
from realign.writers.word_packing import SUPPORTED_BITS, as_words, packed  # noqa: E402


@given(st.sampled_from(SUPPORTED_BITS), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_the_reader_takes_apart_what_was_put_together(bits: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 1 << bits, (rows, 64), generator=generator, dtype=torch.uint8)
    words = packed(codes, bits)
    assert words.dtype == torch.int32
    assert words.shape == (rows, 2 * bits)
    assert unpack(words.numpy().view("uint32"), bits).tolist() == codes.tolist()


def test_known_words() -> None:
    codes = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 15]], dtype=torch.uint8)
    assert packed(codes, 4).numpy().view("uint32").tolist() == [[0xF7654321]]
    # the eleventh code of three bits lies across two words
    codes = torch.tensor([[0] * 10 + [5]], dtype=torch.uint8)
    assert packed(codes, 3).numpy().view("uint32").tolist() == [[0b01 << 30, 0b1]]


def test_words_are_bit_patterns() -> None:
    values = torch.tensor([0, 2**31, 2**32 - 1, -1, 2**32])
    assert as_words(values).tolist() == [0, -(2**31), -1, -1, 0]


def test_writer_and_reader_know_the_same_widths() -> None:
    assert SUPPORTED_BITS == READ_BITS
