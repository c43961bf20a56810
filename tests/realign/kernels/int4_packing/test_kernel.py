import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter  # noqa: E402

from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402
from realign.kernels.int4_packing import kernel, reference  # noqa: E402

# outputs by 8, inputs: part of a tile, exact tiles, odd numbers
AWQ_SHAPES = [(8, 1), (24, 130), (256, 128), (264, 257)]


def random_bytes(*shape: int, below: int = 256, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def random_words(*shape: int) -> torch.Tensor:
    words = torch.randint(-(2**31), 2**31, shape, generator=torch.Generator().manual_seed(7))
    return words.to(torch.int32)


@pytest.mark.parametrize("shape", AWQ_SHAPES, ids=str)
def test_awq(run: Interpreter, shape: tuple[int, int]) -> None:
    # bytes above 15 too: only their low nibbles count
    codes = random_bytes(*shape)
    assert torch.equal(run(kernel.packed_awq, codes), reference.packed_awq(codes))
    words = random_words(shape[1], shape[0] // 8)
    assert torch.equal(run(kernel.unpacked_awq, words), reference.unpacked_awq(words))


@pytest.mark.parametrize("shape", AWQ_SHAPES, ids=str)
def test_gptq(run: Interpreter, shape: tuple[int, int]) -> None:
    codes = random_bytes(shape[1], shape[0])
    assert torch.equal(run(kernel.packed_gptq, codes), reference.packed_gptq(codes))
    words = random_words(shape[0] // 8, shape[1])
    assert torch.equal(run(kernel.unpacked_gptq, words), reference.unpacked_gptq(words))


def test_gptq_from_an_odd_address(run: Interpreter) -> None:
    whole = random_bytes(8 * 5 + 3)
    codes = whole[3:].view(5, 8)
    assert torch.equal(run(kernel.packed_gptq, codes), reference.packed_gptq(codes))


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 16)], ids=str)
def test_q4_k(run: Interpreter, shape: tuple[int, int]) -> None:
    rows, count = shape
    parts = (
        random_bytes(rows, count * 256),
        random_bytes(rows, count * 8, seed=1),
        random_bytes(rows, count * 8, seed=2),
        torch.rand(rows, count, 2, generator=torch.Generator().manual_seed(3)).half(),
    )
    blocks = run(kernel.packed_q4_k, *parts)
    assert torch.equal(blocks, reference.packed_q4_k(*parts))
    for mine, theirs in zip(run(kernel.unpacked_q4_k, blocks), reference.unpacked_q4_k(blocks), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_spills(architecture: int, pack: bool) -> None:
    outputs, inputs = 8192, 28672
    codes = torch.empty(outputs, inputs, dtype=torch.uint8, device="meta")
    words = torch.empty(outputs * inputs // 8, dtype=torch.int32, device="meta")
    parts = torch.empty(outputs, inputs // 32, dtype=torch.uint8, device="meta")
    steps = torch.empty(outputs, inputs // 256, 2, dtype=torch.float16, device="meta")
    blocks = torch.empty(outputs, inputs // 256 * 144, dtype=torch.uint8, device="meta")
    launches = [
        kernel.awq_launch(codes, words.view(inputs, outputs // 8), pack=pack),
        kernel.gptq_launch(codes, words.view(inputs // 8, outputs), pack=pack),
        kernel.q4_k_launch(codes, parts, parts, steps, blocks, pack=pack),
    ]
    for launch in launches:
        made = compiled(launch, architecture)
        assert not made.spills
        assert made.fits
