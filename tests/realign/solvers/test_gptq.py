"""GPTQ against its definition, written with one Python loop and a fresh inverse a column."""

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.solvers.gptq import ActOrder, GptqOptions, solve_gptq  # noqa: E402


def problem(outputs: int = 6, inputs: int = 32, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(400, inputs, generator=generator)
    # correlated inputs of different sizes: where making up for errors pays
    rows = rows @ torch.randn(inputs, inputs, generator=generator) * torch.rand(inputs, generator=generator)
    return torch.randn(outputs, inputs, generator=generator), rows.T @ rows / len(rows)


def cost(off: torch.Tensor, hessian: torch.Tensor) -> float:
    return float(((off @ hessian) * off).sum())


def by_definition(
    weight: torch.Tensor, hessian: torch.Tensor, grid: GroupGrid, damping: float
) -> torch.Tensor:
    """Columns in order, one group: after each, the best change of those left (the OBQ update, eq. 2)."""
    weight, inputs = weight.double().clone(), weight.shape[1]
    scale, zero = grid.fit(weight.amin(dim=1).float(), weight.amax(dim=1).float())
    hessian = hessian.double() + damping * hessian.diagonal().mean() * torch.eye(inputs)
    for column in range(inputs):
        inverse = torch.linalg.inv(hessian[column:, column:])
        rounded = grid.rounded(weight[:, column].float(), scale, zero).double()
        error = (weight[:, column] - rounded) / inverse[0, 0]
        weight[:, column + 1 :] -= torch.outer(error, inverse[0, 1:])
        weight[:, column] = rounded
    return weight.float()


@pytest.mark.parametrize("bits", [3, 4])
def test_is_the_update_of_the_paper(bits: int) -> None:
    weight, hessian = problem()
    grid = GroupGrid(bits, -1, symmetric=True)
    found = solve_gptq(weight, hessian, GptqOptions(grid)).weight()
    meant = by_definition(weight, hessian, grid, 0.01)
    # single precision may send a weight that lies between two codes the other way
    assert ((found - meant).abs() < 1e-4).float().mean() > 0.98


@pytest.mark.parametrize("act_order", ["none", "static", "shuffled"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("bits", "size"), [(2, 8), (3, 16), (4, 8), (4, -1), (8, 32)])
def test_beats_rounding_to_nearest(bits: int, size: int, symmetric: bool, act_order: ActOrder) -> None:
    weight, hessian = problem(outputs=24)
    grid = GroupGrid(bits, size, symmetric)
    entry = solve_gptq(weight, hessian, GptqOptions(grid, act_order))
    by_group = weight.reshape(24, grid.groups_of(32), -1)
    scales, zeros = grid.fit(by_group.amin(-1, keepdim=True), by_group.amax(-1, keepdim=True))
    nearest = grid.rounded(by_group, scales, zeros).reshape(weight.shape)
    assert cost(entry.weight() - weight, hessian) < 0.8 * cost(nearest - weight, hessian)
    assert entry.scales.dtype == torch.float16
    assert entry.codes.max() <= grid.top
    assert entry.in_order == (act_order != "shuffled" or size in (-1, 32))
    assert symmetric <= bool((entry.zeros == 1 << (bits - 1)).all())


def test_act_order_helps_where_few_inputs_matter() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(600, 64, generator=generator) * 0.05
    rows[:, 60:] *= 100
    rows += torch.randn(600, 1, generator=generator)
    hessian = rows.T @ rows / 600
    weight = torch.randn(32, 64, generator=generator)
    grid = GroupGrid(3, 16, symmetric=True)
    costs = {
        order: cost(solve_gptq(weight, hessian, GptqOptions(grid, order)).weight() - weight, hessian)
        for order in ("none", "static", "shuffled")
    }
    assert costs["static"] < costs["none"]
    assert costs["shuffled"] < costs["none"]


def test_inputs_that_are_always_zero_get_zero() -> None:
    weight, hessian = problem()
    hessian[:, 5] = hessian[5] = 0
    entry = solve_gptq(weight, hessian, GptqOptions(GroupGrid(4, 16, symmetric=True)))
    assert (entry.weight()[:, 5] == 0).all()


def test_few_tokens_are_dampened_and_broken_ones_refused() -> None:
    weight, _ = problem()
    row = torch.randn(32, generator=torch.Generator().manual_seed(1))
    entry = solve_gptq(weight, torch.outer(row, row), GptqOptions(GroupGrid(4, 16, symmetric=True)))
    assert torch.isfinite(entry.weight()).all()
    with pytest.raises(InputError, match="not finite"):
        solve_gptq(weight, torch.full((32, 32), float("nan")), GptqOptions(GroupGrid(4, 16, symmetric=True)))
    with pytest.raises(InputError, match="not whole groups"):
        solve_gptq(weight, torch.eye(32), GptqOptions(GroupGrid(4, 12, symmetric=True)))


def test_the_parent_is_left_alone() -> None:
    weight, hessian = problem()
    before = weight.clone(), hessian.clone()
    solve_gptq(weight, hessian, GptqOptions(GroupGrid(4, 16, symmetric=True), "static"))
    assert torch.equal(weight, before[0])
    assert torch.equal(hessian, before[1])
