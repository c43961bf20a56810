from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gguf import GGMLQuantizationType  # noqa: E402
from gguf.quants import dequantize  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.kernels import int4_packing as packing  # noqa: E402
from realign.quantized_linear import QuantizedLinear  # noqa: E402
from realign.writers.awq import awq_tensors  # noqa: E402
from realign.writers.gptq import gptq_tensors  # noqa: E402
from realign.writers.word_packing import packed  # noqa: E402


def random_bytes(*shape: int, below: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def linear(outputs: int, inputs: int, group: int) -> QuantizedLinear:
    groups = inputs // group
    codes, zeros = random_bytes(outputs, inputs), random_bytes(outputs, groups, seed=1)
    scales = torch.rand(outputs, groups, generator=torch.Generator().manual_seed(2)).half()
    return QuantizedLinear(4, False, codes, zeros, scales, torch.arange(inputs) // group)


def test_words_are_those_of_the_writers() -> None:
    matrix = linear(64, 96, 32)
    awq, gptq = awq_tensors(matrix), gptq_tensors(matrix)
    assert torch.equal(packing.pack_awq(matrix.codes), awq["qweight"])
    assert torch.equal(packing.pack_awq(matrix.zeros), awq["qzeros"])
    assert torch.equal(packing.pack_gptq(matrix.codes), gptq["qweight"])
    # the same bit by bit
    ordered = matrix.codes.T.reshape(96, -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]].reshape(96, 64)
    assert torch.equal(packing.pack_awq(matrix.codes), packed(ordered, 4))
    assert torch.equal(packing.pack_gptq(matrix.codes), packed(matrix.codes, 4).T)


def test_known_words() -> None:
    codes = torch.arange(8, dtype=torch.uint8)
    assert packing.pack_awq(codes[:, None]).numpy().view("uint32").tolist() == [[0x75316420]]
    assert packing.pack_gptq(codes[None] + 8).numpy().view("uint32").tolist() == [[0xFEDCBA98]]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_what_was_packed_comes_back(across: int, other: int, seed: int) -> None:
    codes = random_bytes(8 * across, other, seed=seed)
    assert torch.equal(packing.unpack_awq(packing.pack_awq(codes)), codes)
    assert torch.equal(packing.unpack_gptq(packing.pack_gptq(codes.T.contiguous())), codes.T)
    words = torch.randint(
        -(2**31), 2**31, (other, across), generator=torch.Generator().manual_seed(seed), dtype=torch.int64
    )
    for pack, unpack in ((packing.pack_awq, packing.unpack_awq), (packing.pack_gptq, packing.unpack_gptq)):
        assert torch.equal(pack(unpack(words.int())), words.int())


def q4_k_parts(rows: int, count: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    return (
        random_bytes(rows, count * 256, seed=seed),
        random_bytes(rows, count * 8, below=64, seed=seed + 1),
        random_bytes(rows, count * 8, below=64, seed=seed + 2),
        torch.rand(rows, count, 2, generator=torch.Generator().manual_seed(seed)).half(),
    )


def test_ggml_decodes_superblocks_to_what_was_meant() -> None:
    codes, scales, minima, steps = q4_k_parts(3, 2)
    blocks = packing.pack_q4_k(codes, scales, minima, steps)
    assert blocks.shape == (3, 288)
    decoded = dequantize(blocks.numpy(), GGMLQuantizationType.Q4_K)
    step = steps.float().repeat_interleave(8, dim=1)
    weights = (step[:, :, :1] * scales[:, :, None]) * codes.reshape(3, 16, 32) - step[:, :, 1:] * minima[
        :, :, None
    ]
    np.testing.assert_array_equal(decoded, weights.reshape(3, -1).numpy())


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_superblocks_come_back(rows: int, count: int, seed: int) -> None:
    parts = q4_k_parts(rows, count, seed)
    for mine, theirs in zip(packing.unpack_q4_k(packing.pack_q4_k(*parts)), parts, strict=True):
        assert torch.equal(mine, theirs)
    blocks = random_bytes(rows, count * 144, below=256, seed=seed)
    # floats are compared as they are stored: some of these are no numbers
    assert torch.equal(packing.pack_q4_k(*packing.unpack_q4_k(blocks)), blocks)


@pytest.mark.parametrize(
    ("call", "given"),
    [(packing.pack_awq, random_bytes(7, 8)), (packing.pack_gptq, random_bytes(8, 7)), (packing.pack_awq, torch.ones(8, 8)),
     (packing.unpack_awq, random_bytes(8, 8)), (packing.unpack_gptq, torch.ones(8, dtype=torch.int32)),
     (packing.unpack_q4_k, random_bytes(1, 143))],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call: Callable[[torch.Tensor], object], given: torch.Tensor) -> None:
    with pytest.raises(InputError, match="is needed"):
        call(given)


def test_parts_of_superblocks_that_do_not_fit() -> None:
    codes, scales, minima, steps = q4_k_parts(2, 2)
    for wrong in (
        (scales[:1], minima, steps),
        (scales, minima[:, :8], steps),
        (scales, minima, steps.float()),
    ):
        with pytest.raises(InputError, match="belong to such codes"):
            packing.pack_q4_k(codes, *wrong)
