import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter  # noqa: E402

from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402
from realign.kernels.group_fake_quant import kernel, reference  # noqa: E402

# outputs, groups, size: whole tiles, parts of them, a group of several tiles, single weights
SHAPES = [(64, 2, 128), (5, 3, 41), (3, 1, 5000), (9, 7, 1), (1, 1, 2049)]


def problem(outputs: int, groups: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(outputs * size)
    weight = torch.randn(outputs, groups, size, generator=generator)
    weight[0, 0] = 0
    weight[-1, -1] = weight[-1, -1].abs() + 0.1
    if outputs > 4:
        weight[1, 0] *= 1e9
        weight[2, 0] *= 1e-7
        # exactly between two codes
        weight[3, 0] = (torch.arange(size) % 7 - 3.5) / 4
    share = 0.5 + torch.rand(2, outputs, groups, generator=generator) / 2
    low, high = share[0] * weight.amin(dim=2), share[1] * weight.amax(dim=2)
    if outputs > 4:
        low[3, 0], high[3, 0] = -2.0, 1.75
        # two ends of the same length share the gradient
        low[4, 0] = -high[4, 0]
    return weight.reshape(outputs, -1), low, high


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("bits", "symmetric"), [(4, False), (4, True), (2, False), (3, True), (8, False)])
def test_equal_to_the_bit(run: Interpreter, shape: tuple[int, int, int], bits: int, symmetric: bool) -> None:
    weight, low, high = problem(*shape)
    expected = reference.codes(weight, low, high, bits, symmetric)
    for mine, theirs in zip(run(kernel.codes, weight, low, high, bits, symmetric), expected, strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)
    result = run(kernel.rounded, weight, low, high, bits, symmetric)
    assert torch.equal(result, reference.fake_quant(weight, low, high, bits, symmetric))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_equal_to_the_bit_for_short_floats(run: Interpreter, dtype: torch.dtype) -> None:
    weight, low, high = problem(6, 2, 64)
    weight = weight.to(dtype).nan_to_num(posinf=1e4, neginf=-1e4)
    result = run(kernel.rounded, weight, low, high, 4, False)
    assert torch.equal(result, reference.fake_quant(weight, low, high, 4, False))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("bits", "symmetric"), [(4, False), (4, True), (2, False), (8, True)])
def test_gradients(run: Interpreter, shape: tuple[int, int, int], bits: int, symmetric: bool) -> None:
    weight, low, high = problem(*shape)
    slope = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    found = run(kernel.gradients, slope, weight, low, high, bits, symmetric)
    expected = reference.fake_quant_gradients(slope, weight, low, high, bits, symmetric)
    assert torch.equal(found[0], expected[0])
    # the bound that the folder states: a term is |g| * 2^bits at most
    size = shape[2]
    terms = slope.abs().reshape(*low.shape, -1).sum(dim=2) * (1 << bits)
    for mine, theirs in zip(found[1:], expected[1:], strict=True):
        assert ((mine - theirs).abs() <= 2 * (size + 8) * 2.0**-24 * terms).all()
        assert mine.isfinite().all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_spills(architecture: int) -> None:
    weight = torch.empty(4096, 11008, device="meta")
    ends = torch.empty(4096, 86, device="meta"), torch.empty(4096, 86, device="meta")
    launches = [
        kernel.round_launch(weight, *ends, 4, False, as_codes=False)[0],
        kernel.gradient_launch(weight, weight, *ends, 4, False)[0],
    ]
    for launch in launches:
        made = compiled(launch, architecture)
        assert not made.spills
        assert made.fits


def test_other_variants_compile_without_spills() -> None:
    weight = torch.empty(4096, 11008, device="meta", dtype=torch.bfloat16)
    rows = torch.empty(4096, 1, device="meta"), torch.empty(4096, 1, device="meta")
    launches = [
        kernel.round_launch(weight, *rows, 8, True, as_codes=True)[0],
        kernel.gradient_launch(weight, weight, *rows, 8, True)[0],
    ]
    for launch in launches:
        assert not compiled(launch, 90).spills


@pytest.mark.parametrize("as_codes", [True, False])
def test_codes_come_of_exact_arithmetic(as_codes: bool) -> None:
    weight = torch.empty(4096, 11008, device="meta")
    ends = torch.empty(4096, 86, device="meta"), torch.empty(4096, 86, device="meta")
    assembly = compiled(kernel.round_launch(weight, *ends, 4, False, as_codes=as_codes)[0], 90).ptx
    assert "div.rn.f32" in assembly
    # approximate divisions, numbers below 2^-126 made zero, sums that are rounded once with their product
    for inexact in ("div.full", "div.approx", "rcp.", ".ftz", "fma."):
        assert inexact not in assembly
