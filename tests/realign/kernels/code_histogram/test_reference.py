import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.kernels.code_histogram import code_histogram, entropy_bits, packed_histogram  # noqa: E402
from realign.kernels.int4_packing import pack_awq, pack_gptq  # noqa: E402


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 40), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_counts(rows: int, length: int, bits: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 1 << bits, (rows, length), generator=generator, dtype=torch.uint8)
    found = code_histogram(codes, bits)
    assert found.dtype == torch.int64
    assert found.tolist() == [[row.count(code) for code in range(1 << bits)] for row in codes.tolist()]


def test_packed_codes_are_counted_where_they_lie() -> None:
    codes = torch.randint(0, 16, (16, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole = code_histogram(codes, 4).sum(dim=0)
    assert torch.equal(packed_histogram(pack_awq(codes), 4).sum(dim=0), whole)
    # a column of words is a row of outputs
    assert torch.equal(packed_histogram(pack_gptq(codes).T, 4), code_histogram(codes, 4))
    assert packed_histogram(torch.tensor([[0b11100100, 0b11]], dtype=torch.uint8), 2).tolist() == [
        [4, 1, 1, 2]
    ]


def test_entropy() -> None:
    counts = torch.tensor([[4, 4, 4, 4], [16, 0, 0, 0], [8, 8, 0, 0], [0, 0, 0, 0], [3, 1, 0, 0]])
    expected = [2.0, 0.0, 1.0, 0.0, 2 - 0.75 * math.log2(3)]
    assert entropy_bits(counts).tolist() == pytest.approx(expected)


def test_what_does_not_fit_is_refused() -> None:
    codes = torch.zeros(2, 2, dtype=torch.uint8)
    for call in (
        lambda: code_histogram(codes, 9),
        lambda: code_histogram(codes.int(), 4),
        lambda: code_histogram(codes[0], 4),
    ):
        with pytest.raises(InputError, match="are needed"):
            call()
    with pytest.raises(InputError, match="do not fill bytes"):
        packed_histogram(codes, 3)
