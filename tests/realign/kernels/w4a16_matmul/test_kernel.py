import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter, on_gpu  # noqa: E402

from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402
from realign.kernels.w4a16_matmul import kernel, reference  # noqa: E402

# rows, outputs, inputs, groups: groups of whole pieces, of parts, of fewer inputs than a product has, one alone
SHAPES = [(5, 33, 256, 2), (17, 70, 144, 6), (70, 65, 200, 5), (1, 8, 8, 1), (3, 9, 96, 12), (200, 9, 80, 1)]


def problem(rows: int, outputs: int, inputs: int, groups: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(rows)
    words = torch.randint(-(2**31), 2**31, (inputs // 8, outputs), generator=generator).to(torch.int32)
    zeros = torch.randint(0, 16, (groups, outputs), generator=generator, dtype=torch.uint8)
    scales = torch.rand(groups, outputs, generator=generator).half()
    scales[0, 0] = 0
    return torch.randn(rows, inputs, generator=generator), words, zeros, scales


def check(found: torch.Tensor, given: tuple[torch.Tensor, ...], rounding: float) -> None:
    x, words, zeros, scales = given
    assert found.dtype == x.dtype
    weight = reference.decoded(words, zeros, scales)
    exact = x.double() @ weight.double().T
    terms = x.abs().double() @ weight.abs().double().T
    bound = (x.shape[1] + 8) * 2.0**-22 * terms + rounding * exact.abs()
    assert ((found.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 2.0**-24), (torch.float16, 2.0**-11)])
def test_product(
    run: Interpreter, shape: tuple[int, int, int, int], dtype: torch.dtype, rounding: float
) -> None:
    x, *weight = problem(*shape)
    given = (x.to(dtype), *weight)
    check(run(kernel.matmul, *given), given, rounding)


# triton's interpreter multiplies bfloat16 as if its bits were whole numbers
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_product_of_bfloat16(shape: tuple[int, int, int, int]) -> None:
    x, *weight = problem(*shape)
    given = (x.bfloat16(), *weight)
    check(on_gpu(kernel.matmul, *given), given, 2.0**-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_spills(architecture: int) -> None:
    outputs, inputs = 11008, 4096
    words = torch.empty(inputs // 8, outputs, dtype=torch.int32, device="meta")
    zeros = torch.empty(inputs // 128, outputs, dtype=torch.uint8, device="meta")
    scales = torch.empty(inputs // 128, outputs, dtype=torch.float16, device="meta")
    for rows, dtype in ((4096, torch.bfloat16), (16, torch.float16), (4096, torch.float32)):
        x = torch.empty(rows, inputs, dtype=dtype, device="meta")
        launch, _ = kernel.matmul_launch(x, words, zeros, scales, architecture=architecture)
        made = compiled(launch, architecture)
        assert not made.spills
        assert made.fits
