import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.quantized_linear import QuantizedLinear  # noqa: E402


def linear(group_of: list[int]) -> QuantizedLinear:
    return QuantizedLinear(
        bits=4,
        symmetric=False,
        codes=torch.tensor([[0, 15, 7, 8], [1, 2, 3, 4]], dtype=torch.uint8),
        zeros=torch.tensor([[8, 0], [15, 1]], dtype=torch.uint8),
        scales=torch.tensor([[0.5, 2.0], [0.25, 1.0]], dtype=torch.float16),
        group_of=torch.tensor(group_of),
    )


def test_weight_is_code_less_zero_times_scale() -> None:
    assert linear([0, 0, 1, 1]).weight().tolist() == [[-4.0, 3.5, 14.0, 16.0], [-3.5, -3.25, 2.0, 3.0]]


def test_shuffled_inputs_keep_their_groups() -> None:
    assert linear([0, 1, 0, 1]).weight().tolist() == [[-4.0, 30.0, -0.5, 16.0], [-3.5, 1.0, -3.0, 3.0]]


def test_order() -> None:
    assert linear([0, 0, 1, 1]).in_order
    assert not linear([0, 1, 0, 1]).in_order
    assert not linear([1, 1, 0, 0]).in_order


def test_products_are_exact() -> None:
    # the largest difference of codes times a scale with every bit of float16 set
    scale = torch.tensor([[1.9990234375]], dtype=torch.float16)
    entry = QuantizedLinear(
        8,
        False,
        torch.tensor([[255]], dtype=torch.uint8),
        torch.tensor([[0]], dtype=torch.uint8),
        scale,
        torch.zeros(1).long(),
    )
    assert float(entry.weight()) == 255 * 1.9990234375


def test_stored_and_read_again() -> None:
    meant = linear([0, 1, 0, 1])
    again = QuantizedLinear.from_tensors(meant.tensors())
    assert (again.bits, again.symmetric) == (4, False)
    assert torch.equal(again.weight(), meant.weight())
    assert all(torch.equal(value, meant.tensors()[name]) for name, value in again.tensors().items())


def test_a_missing_tensor() -> None:
    tensors = linear([0, 0, 1, 1]).tensors()
    del tensors["zeros"]
    with pytest.raises(InputError, match=r"not whole.*'zeros'"):
        QuantizedLinear.from_tensors(tensors)
