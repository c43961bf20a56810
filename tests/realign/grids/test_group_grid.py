import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402

weights = st.lists(st.floats(-4, 4, width=32), min_size=8, max_size=8)


@given(weights, st.sampled_from([2, 3, 4, 8]), st.booleans())
def test_rounding_is_off_by_half_a_step_at_most(values: list[float], bits: int, symmetric: bool) -> None:
    grid = GroupGrid(bits, 8, symmetric)
    group = torch.tensor(values)
    scale, zero = grid.fit(group.amin(), group.amax())
    codes = grid.codes(group, scale, zero)
    assert codes.min() >= 0
    assert codes.max() <= grid.top
    assert scale == scale.half().float()
    assert zero == zero.round()
    rounded = grid.rounded(group, scale, zero)
    # a symmetric grid has one point more below zero; the zero of the other one is rounded itself, so
    # that one end is cut by half a step; the scale is rounded to float16
    slack = 0.5 if symmetric else 1.0
    assert (rounded - group).abs().max() <= scale * slack + 8 * 2.0**-11


@given(weights, st.booleans())
def test_zero_stays_zero(values: list[float], symmetric: bool) -> None:
    grid = GroupGrid(4, 8, symmetric)
    scale, zero = grid.fit(torch.tensor(min(values)), torch.tensor(max(values)))
    assert grid.rounded(torch.zeros(1), scale, zero) == 0


def test_known_values() -> None:
    scale, zero = GroupGrid(4, 8, symmetric=True).fit(torch.tensor(-1.0), torch.tensor(0.5))
    assert zero == 8
    assert scale == torch.tensor(2 / 15).half().float()
    scale, zero = GroupGrid(2, 8, symmetric=False).fit(torch.tensor(-1.0), torch.tensor(0.5))
    assert (scale, zero) == (0.5, 2)


def test_a_group_of_zeros_and_one_too_large() -> None:
    grid = GroupGrid(4, 8, symmetric=False)
    scale, zero = grid.fit(torch.zeros(1), torch.zeros(1))
    assert grid.rounded(torch.zeros(1), scale, zero) == 0
    scale, _ = grid.fit(torch.tensor([-1e9]), torch.tensor([1e9]))
    assert torch.isfinite(scale.half()).all()


@pytest.mark.parametrize("size", [0, 3, 16, -2])
def test_inputs_that_are_not_whole_groups(size: int) -> None:
    with pytest.raises(InputError, match="not whole groups"):
        GroupGrid(4, size, symmetric=True).groups_of(8)


def test_groups() -> None:
    assert GroupGrid(4, 4, symmetric=True).groups_of(8) == 2
    assert GroupGrid(4, -1, symmetric=True).groups_of(8) == 1


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [32, -1])
def test_codes_hold_exactly_what_was_meant(bits: int, group: int, symmetric: bool) -> None:
    grid = GroupGrid(bits, group, symmetric)
    weight = torch.randn(6, 96, generator=torch.Generator().manual_seed(bits))
    weight[0] = 0
    weight[1] *= 1e-9
    weight[2] = weight[2].abs()
    by_group = weight.reshape(6, grid.groups_of(96), -1)
    low, high = by_group.amin(dim=-1) * 0.8, by_group.amax(dim=-1) * 0.9
    encoded = grid.encode(weight, low, high)
    assert torch.equal(encoded.weight(), grid.fake(weight, low, high))
    assert (encoded.bits, encoded.symmetric, encoded.in_order) == (bits, symmetric, True)


def test_gradients() -> None:
    grid = GroupGrid(4, 4, symmetric=False)
    weight = torch.tensor([[-1.0, 0.25, 0.5, 9.0]], requires_grad=True)
    low, high = torch.tensor([[-1.0]], requires_grad=True), torch.tensor([[1.0]], requires_grad=True)
    grid.fake(weight, low, high)[0, 3].backward()
    # beyond the range: only its end moves the value
    assert weight.grad.tolist() == [[0.0, 0.0, 0.0, 0.0]]
    assert float(high.grad) == pytest.approx(1, abs=0.1)
    weight.grad = None
    grid.fake(weight, low, high).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0, 1.0, 0.0]]
