"""Weights that make up for each other's errors: better outputs than nearest points, still on the grid."""

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import InputError  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.solvers.compensated_rounding import compensated  # noqa: E402
from realign.solvers.range_search import best_ranges  # noqa: E402

GRIDS: list[Grid] = [
    GroupGrid(4, 64, symmetric=False),
    GroupGrid(3, 128, symmetric=True),
    SuperblockGrid("Q2_K"),
    SuperblockGrid("Q3_K"),
    SuperblockGrid("Q4_K"),
]


def inputs(seed: int) -> torch.Tensor:
    """Inputs that occur together, and one that never occurs."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(600, 40, generator=generator) @ torch.randn(40, 256, generator=generator)
    rows += 0.3 * torch.randn(600, 256, generator=generator)
    rows[:, 17] = 0
    return rows


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_outputs_are_nearer_than_those_of_nearest_points(grid: Grid) -> None:
    weight = torch.randn(24, 256, generator=torch.Generator().manual_seed(3))
    rows = inputs(4)
    hessian = rows.T @ rows / len(rows)
    low, high = best_ranges(weight, grid, hessian.diagonal())
    found = compensated(weight, grid, low, high, hessian)
    some = rows[:200]

    def off(candidate: torch.Tensor) -> float:
        return float((some @ (grid.fake(candidate, low, high) - weight).T).square().mean())

    assert off(found) < 0.75 * off(weight)


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_what_is_returned_lies_on_the_grid(grid: Grid) -> None:
    weight = torch.randn(8, 256, generator=torch.Generator().manual_seed(5))
    rows = inputs(6)
    low, high = best_ranges(weight, grid)
    found = compensated(weight, grid, low, high, rows.T @ rows / len(rows))
    torch.testing.assert_close(grid.fake(found, low, high), found, rtol=1e-4, atol=1e-5)


def test_inputs_that_never_occur_together_change_nothing() -> None:
    grid = GroupGrid(4, 64, symmetric=False)
    weight = torch.randn(8, 256, generator=torch.Generator().manual_seed(7))
    low, high = best_ranges(weight, grid)
    found = compensated(weight, grid, low, high, torch.eye(256))
    torch.testing.assert_close(found, grid.fake(weight, low, high), rtol=1e-4, atol=1e-5)


def test_a_group_of_zeros_stays_zero() -> None:
    grid = SuperblockGrid("Q2_K")
    weight = torch.zeros(2, 256)
    low, high = best_ranges(weight, grid)
    assert not compensated(weight, grid, low, high, torch.eye(256)).any()


def test_activations_that_are_not_finite_are_refused() -> None:
    weight = torch.ones(2, 64)
    with pytest.raises(InputError, match="not finite"):
        compensated(weight, GRIDS[0], -weight[:, :1], weight[:, :1], torch.full((64, 64), torch.nan))
