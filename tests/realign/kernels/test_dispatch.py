"""The public functions as they run on a GPU, kernels and gradients together, against the references."""

import operator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter, called_with_gradients, through_kernels  # noqa: E402

from realign.kernels import (  # noqa: E402
    class_scatter,
    code_histogram,
    group_fake_quant,
    int4_packing,
    separation_loss,
    w4a16_matmul,
)

FOLDERS = {
    each.__name__.rpartition(".")[2]: each
    for each in (class_scatter, code_histogram, group_fake_quant, int4_packing, separation_loss, w4a16_matmul)
}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_bytes(*shape: int, below: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


WEIGHT = normal(6, 48).T.contiguous().T  # not contiguous
ENDS = (-normal(6, 3).abs(), normal(6, 3, seed=1).abs())
PACKED = w4a16_matmul.PackedWeight(
    int4_packing.pack_gptq(random_bytes(12, 32)), random_bytes(2, 12), normal(2, 12, seed=2).abs().half()
)
Q4_K = (
    random_bytes(2, 512), random_bytes(2, 16, below=64), random_bytes(2, 16, below=64, seed=1), torch.ones(2, 2, 2).half(),
)  # fmt: skip
LAST, SIDES = torch.tensor([1, 4, 0]), torch.tensor([1, -1, 1])

# folder, function, what gradients flow to, the rest, a slope
CASES = {
    "rounding": ("group_fake_quant", "group_fake_quant", (WEIGHT, *ENDS), (3, False), normal(6, 48, seed=3)),
    "codes": ("group_fake_quant", "group_codes", (WEIGHT, *ENDS), (3, True), None),
    "separation": ("separation_loss", "separation_losses", (normal(3, 5, 20),), (LAST, SIDES, normal(20), 0.3), normal(3)),
    "product": ("w4a16_matmul", "w4a16_matmul", (normal(2, 3, 32),), (PACKED,), normal(2, 3, 12)),
    "scatter": ("class_scatter", "ClassScatter.updated", (), (class_scatter.ClassScatter.empty(9), normal(7, 9), LAST.repeat(3)[:7] % 2), None),
    "histogram": ("code_histogram", "code_histogram", (), (random_bytes(3, 50), 4), None),
    "packed histogram": ("code_histogram", "packed_histogram", (), (PACKED.words, 4), None),
    "awq": ("int4_packing", "pack_awq", (), (random_bytes(16, 5),), None),
    "awq back": ("int4_packing", "unpack_awq", (), (PACKED.words,), None),
    "gptq": ("int4_packing", "pack_gptq", (), (random_bytes(5, 16),), None),
    "gptq back": ("int4_packing", "unpack_gptq", (), (PACKED.words,), None),
    "q4_k": ("int4_packing", "pack_q4_k", (), Q4_K, None),
    "q4_k back": ("int4_packing", "unpack_q4_k", (), (int4_packing.pack_q4_k(*Q4_K),), None),
}  # fmt: skip


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, class_scatter.ClassScatter):
        return [value.counts, value.means, value.scatter]
    return [tensor for each in value for tensor in tensors(each)]


@pytest.mark.parametrize("case", list(CASES))
def test_kernels_give_what_references_give(interpreter: Interpreter, case: str) -> None:
    package, name, leaves, more, slope = CASES[case]
    expected = called_with_gradients(operator.attrgetter(name)(FOLDERS[package]), leaves, more, slope)
    found = interpreter(through_kernels, package, name, leaves, more, slope)
    assert len(tensors(found)) == len(tensors(expected)) > 0
    for mine, theirs in zip(tensors(found), tensors(expected), strict=True):
        assert mine.dtype == theirs.dtype
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
