"""A matrix begins as plain rounding with good ranges, and training changes what it should."""

import pytest

torch = pytest.importorskip("torch")

from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.solvers.range_search import best_ranges  # noqa: E402
from realign.solvers.rounded_matrix import RoundedMatrix  # noqa: E402

GRIDS: list[Grid] = [
    GroupGrid(2, 64, symmetric=False),
    GroupGrid(4, 32, symmetric=True),
    SuperblockGrid("Q2_K"),
    SuperblockGrid("Q6_K"),
    SuperblockGrid("Q4_0"),
]


def weights(seed: int = 0) -> torch.Tensor:
    return torch.randn(12, 256, generator=torch.Generator().manual_seed(seed)) * 0.1


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_what_is_settled_encodes_to_what_was_trained(grid: Grid) -> None:
    matrix = RoundedMatrix.searched(weights(), grid)
    scales = torch.linspace(0.5, 2, 256)
    outputs = torch.linspace(0.7, 1.3, 12)
    meant = matrix.rounded(scales, outputs).detach()
    settled = matrix.settled(scales, outputs)
    assert torch.allclose(settled[0], weights() * scales / outputs[:, None])
    assert torch.equal(grid.encode(*settled).weight(), meant)


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_it_begins_about_where_the_search_ends(grid: Grid) -> None:
    low, high = best_ranges(weights(), grid)
    searched = (grid.fake(weights(), low, high) - weights()).square().mean()
    begun = (RoundedMatrix.searched(weights(), grid).rounded().detach() - weights()).square().mean()
    assert float(begun) <= float(searched) * (1 + 1e-5)


def test_important_inputs_are_rounded_better() -> None:
    grid = GroupGrid(2, 256, symmetric=False)
    importance = torch.ones(256)
    importance[:8] = 1000
    plain = (RoundedMatrix.searched(weights(), grid).rounded().detach() - weights())[:, :8].square().mean()
    found = RoundedMatrix.searched(weights(), grid, importance)
    assert float((found.rounded().detach() - weights())[:, :8].square().mean()) < float(plain)


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_gradients_reach_weights_and_ends(grid: Grid) -> None:
    matrix = RoundedMatrix.searched(weights(), grid)
    (matrix.rounded() - weights(1)).square().mean().backward()
    for parameter in (matrix.weight, matrix.ends):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


def test_groups_without_a_range_stay_finite() -> None:
    flat = weights()
    flat[0] = 0
    flat[1] = flat[1].abs()
    flat[2, :128] = 0.3
    grid = GroupGrid(2, 64, symmetric=False)
    matrix = RoundedMatrix.searched(flat, grid)
    rounded = matrix.rounded()
    rounded.sum().backward()
    assert not rounded[0].any()
    assert rounded.isfinite().all()
    assert matrix.weight.grad is not None
    assert matrix.weight.grad.isfinite().all()


def test_a_step_is_the_distance_of_two_points() -> None:
    grid = GroupGrid(2, 256, symmetric=False)
    matrix = RoundedMatrix.searched(weights(), grid)
    points = matrix.rounded().detach()
    gaps = [row.unique().diff() for row in points]
    assert matrix.step == pytest.approx(float(torch.cat(gaps).mean()), rel=0.05)
