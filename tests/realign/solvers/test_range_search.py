"""Ranges before training: never worse than the whole range, and whole where weights lie on the grid."""

import pytest

pytest.importorskip("torch")

import torch

from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.solvers.range_search import best_ranges

GRIDS: list[Grid] = [
    GroupGrid(4, 64, symmetric=False),
    GroupGrid(2, 64, symmetric=False),
    GroupGrid(3, 64, symmetric=True),
    SuperblockGrid("Q4_K"),
    SuperblockGrid("Q6_K"),
]


def drawn(seed: int) -> torch.Tensor:
    weight = torch.randn(6, 512, generator=torch.Generator().manual_seed(seed))
    weight[:, ::64] *= 4
    return weight


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_drawn_in_ranges_are_no_worse_than_whole_ones(grid: Grid) -> None:
    weight = drawn(1)
    by_group = weight.reshape(6, grid.groups_of(512), -1)
    whole = grid.fake(weight, by_group.amin(-1), by_group.amax(-1))
    best = grid.fake(weight, *best_ranges(weight, grid))
    # a superblock's groups share a float16: what is best for each group need not be for all together
    assert (best - weight).square().sum() <= (whole - weight).square().sum() * 1.001


def test_outliers_draw_ranges_in_at_two_bits() -> None:
    weight = drawn(1)
    grid = GroupGrid(2, 64, symmetric=False)
    low, high = best_ranges(weight, grid)
    by_group = weight.reshape(6, 8, -1)
    assert (high - low < by_group.amax(-1) - by_group.amin(-1)).float().mean() > 0.5


def test_weights_on_the_grid_stay() -> None:
    grid = GroupGrid(4, 64, symmetric=False)
    weight = drawn(2)
    by_group = weight.reshape(6, 8, -1)
    on_grid = grid.fake(weight, by_group.amin(-1), by_group.amax(-1))
    assert torch.allclose(grid.fake(on_grid, *best_ranges(on_grid, grid)), on_grid, atol=1e-6)


def test_important_inputs_count_for_more() -> None:
    grid = GroupGrid(2, 64, symmetric=False)
    weight = drawn(3)
    importance = torch.full((512,), 1e-3)
    importance[::64] = 1e3
    plain = grid.fake(weight, *best_ranges(weight, grid))
    weighed = grid.fake(weight, *best_ranges(weight, grid, importance))
    assert (weighed - weight)[:, ::64].square().sum() < (plain - weight)[:, ::64].square().sum()


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q6_K"])
def test_superblocks_are_as_close_as_llama_cpps_own(kind: str) -> None:
    pytest.importorskip("llama_cpp")
    from realign.grids.ggml_quantizer import ggml_quantized

    grid, weight = SuperblockGrid(kind), drawn(4)
    importance = torch.rand(512, generator=torch.Generator().manual_seed(5)) ** 2
    ours = grid.fake(weight, *best_ranges(weight, grid, importance))
    theirs = ggml_quantized(weight, kind, importance).weight()
    errors = [((found - weight).square() * importance).sum() for found in (ours, theirs)]
    assert errors[0] <= errors[1] * 1.01
