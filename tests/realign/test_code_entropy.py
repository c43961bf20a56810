"""The entropy of codes, by what is known of them."""

import pytest

torch = pytest.importorskip("torch")

from realign_packing import random_linear  # noqa: E402

from realign.code_entropy import code_entropies  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.grids.superblock_layouts import LAYOUTS  # noqa: E402
from realign.grids.superblock_packing import unpacked  # noqa: E402
from realign.superblock_linear import SuperblockLinear  # noqa: E402


def test_codes_in_equal_numbers_and_one_code_alone() -> None:
    even, single = (random_linear(4, 32, 64, 32) for _ in range(2))
    even.codes[:] = torch.arange(64, dtype=torch.uint8) % 16
    single.codes[:] = 3
    assert code_entropies({"even": even, "single": single}) == {"even": 4.0, "single": 0.0}


def ranges(weight: torch.Tensor, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    by_group = weight.reshape(len(weight), groups, -1)
    return by_group.amin(dim=-1), by_group.amax(dim=-1)


@pytest.mark.parametrize("name", LAYOUTS)
def test_blocks_of_ggml(name: str) -> None:
    weight = torch.randn(7, 512, generator=torch.Generator().manual_seed(0))
    grid = SuperblockGrid(name)
    linear = grid.encode(weight, *ranges(weight, grid.groups_of(512)))
    counts = torch.unique(unpacked(LAYOUTS[name], linear.rows).codes, return_counts=True)[1].double()
    share = counts / counts.sum()
    meant = float(-(share * share.log2()).sum())
    assert code_entropies({"x": linear})["x"] == pytest.approx(meant, abs=1e-9)
    assert 1 < meant < LAYOUTS[name].bits


def test_outliers_leave_few_codes() -> None:
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    grid = GroupGrid(4, 32, symmetric=False)
    plain = grid.encode(weight, *ranges(weight, 8))
    # one a group, of either sign
    weight[:, ::32] = 64
    weight[::2, ::32] = -64
    widened = grid.encode(weight, *ranges(weight, 8))
    found = code_entropies({"plain": plain, "widened": widened})
    # FORENSICS D7: 3.87 bits of normally distributed weights, 1.98 with one outlier a group
    assert found["plain"] == pytest.approx(3.87, abs=0.06)
    assert found["widened"] == pytest.approx(1.98, abs=0.06)


def test_types_without_codes_are_left_out() -> None:
    rows = torch.zeros((2, 32), dtype=torch.uint8)
    assert code_entropies({"x": SuperblockLinear("F16", 16, rows)}) == {}
