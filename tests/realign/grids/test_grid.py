"""What every grid promises, whichever it is."""

import pytest

pytest.importorskip("torch")

import torch

from qaudit.errors import InputError
from realign.grids.grid import Encoded, Grid
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.grids.superblock_layouts import LAYOUTS
from realign.quantized_linear import QuantizedLinear
from realign.superblock_linear import SuperblockLinear

GRIDS: list[Grid] = [
    *(GroupGrid(bits, size, sym) for bits in (2, 3, 4, 8) for size in (64, -1) for sym in (True, False)),
    *(SuperblockGrid(name) for name in LAYOUTS),
]


def given(grid: Grid) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weight = torch.randn(8, 512, generator=torch.Generator().manual_seed(0))
    by_group = weight.reshape(8, grid.groups_of(512), -1)
    return weight, by_group.amin(dim=-1) * 0.9, by_group.amax(dim=-1) * 0.8


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_what_is_stored_is_what_training_saw(grid: Grid) -> None:
    weight, low, high = given(grid)
    encoded: Encoded = grid.encode(weight, low, high)
    assert torch.equal(encoded.weight(), grid.fake(weight, low, high))
    kind = QuantizedLinear if isinstance(encoded, QuantizedLinear) else SuperblockLinear
    assert torch.equal(kind.from_tensors(encoded.tensors()).weight(), encoded.weight())


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_weights_on_the_grid_stay(grid: Grid) -> None:
    weight, low, high = given(grid)
    once = grid.fake(weight, low, high)
    assert torch.equal(grid.fake(once, low, high), once)
    # no more values in a group than there are codes
    by_group = once.reshape(8, grid.groups_of(512), -1)
    assert all(len(group.unique()) <= 1 << grid.bits for row in by_group for group in row)


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_gradients_reach_weights_and_both_ends(grid: Grid) -> None:
    values = [value.requires_grad_() for value in given(grid)]
    weight = values[0]
    (grid.fake(*values) - weight.detach()).square().sum().backward()
    assert all(value.grad is not None and bool(torch.isfinite(value.grad).all()) for value in values)
    assert all(float(value.grad.abs().sum()) > 0 for value in values if value.grad is not None)


@pytest.mark.parametrize("grid", [GroupGrid(4, 128, symmetric=True), SuperblockGrid("Q4_K")], ids=repr)
def test_inputs_that_are_not_whole_groups(grid: Grid) -> None:
    with pytest.raises(InputError, match="not whole"):
        grid.groups_of(100)
    with pytest.raises(InputError, match="not whole"):
        grid.fake(torch.ones(2, 100), torch.zeros(2, 1), torch.ones(2, 1))
