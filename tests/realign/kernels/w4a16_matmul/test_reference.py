import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.kernels.w4a16_matmul import PackedWeight, w4a16_matmul  # noqa: E402
from realign.quantized_linear import QuantizedLinear  # noqa: E402


def linear(outputs: int, inputs: int, size: int) -> QuantizedLinear:
    generator = torch.Generator().manual_seed(outputs)
    weight = torch.randn(outputs, inputs // size, size, generator=generator)
    weight[0, 0] = 0
    grid = GroupGrid(4, size, symmetric=False)
    scales, zeros = grid.fit(weight.amin(dim=2), weight.amax(dim=2))
    codes = grid.codes(weight, scales[:, :, None], zeros[:, :, None]).reshape(outputs, inputs)
    group_of = torch.arange(inputs) // size
    return QuantizedLinear(4, False, codes.byte(), zeros.byte(), scales.half(), group_of)


@pytest.mark.parametrize("shape", [(5, 64, 16), (8, 48, 24), (3, 32, 32)], ids=str)
def test_it_is_the_product_with_the_weights(shape: tuple[int, int, int]) -> None:
    matrix = linear(*shape)
    packed = PackedWeight.of(matrix)
    assert torch.equal(packed.decoded(), matrix.weight())
    x = torch.randn(2, 3, shape[1], generator=torch.Generator().manual_seed(1), requires_grad=True)
    y = w4a16_matmul(x, packed)
    torch.testing.assert_close(y, x @ matrix.weight().T)
    slope = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    y.backward(slope)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, slope @ matrix.weight())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_results_have_the_type_of_the_inputs(dtype: torch.dtype) -> None:
    matrix = linear(5, 64, 16)
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(1)).to(dtype)
    y = w4a16_matmul(x, PackedWeight.of(matrix))
    assert torch.equal(y, (x.float() @ matrix.weight().T).to(dtype))


def test_what_does_not_fit_is_refused() -> None:
    matrix = linear(4, 32, 16)
    with pytest.raises(InputError, match="for a matrix of 32 inputs"):
        w4a16_matmul(torch.ones(2, 16), PackedWeight.of(matrix))
    with pytest.raises(InputError, match="for a matrix of 32 inputs"):
        w4a16_matmul(torch.ones(2, 32).double(), PackedWeight.of(matrix))
    shuffled = matrix.group_of.flip(0)
    small = linear(4, 24, 12)
    for wrong in (
        small,
        QuantizedLinear(4, False, matrix.codes, matrix.zeros, matrix.scales, shuffled),
        QuantizedLinear(3, False, matrix.codes, matrix.zeros, matrix.scales, matrix.group_of),
    ):
        with pytest.raises(InputError, match="equal runs by 8 are needed"):
            PackedWeight.of(wrong)
