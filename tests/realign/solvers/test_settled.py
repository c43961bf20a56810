"""What training leaves goes into steps and comes out the same."""

import pytest

torch = pytest.importorskip("torch")

from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.job import Step  # noqa: E402
from realign.solvers.settled import Settled, settled_by  # noqa: E402

GRID = GroupGrid(4, 8, symmetric=False)


def parts(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weight = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed))
    by_group = weight.reshape(3, 2, 8)
    return weight, by_group.amin(dim=-1), by_group.amax(dim=-1)


def test_later_steps_replace_earlier_ones() -> None:
    first = Settled({"a": parts(0), "b": parts(1)}, {"norm.weight": torch.zeros(3)})
    second = Settled({"b": parts(2)}, {"norm.weight": torch.ones(3)})
    steps = [Step("one", first.tensors(), {}, 0.0), Step("two", second.tensors(), {}, 0.0)]
    found = settled_by(steps)
    assert set(found.matrices) == {"a", "b"}
    for name, seed in (("a", 0), ("b", 2)):
        assert all(torch.equal(x, y) for x, y in zip(found.matrices[name], parts(seed), strict=True))
    assert found.floats["norm.weight"].tolist() == [1, 1, 1]


def test_names_in_the_model_and_within_a_block() -> None:
    settled = Settled({"mlp.up_proj": parts(0)}, {"norm.weight": torch.ones(3)})
    placed = settled.placed("model.layers.7.")
    assert set(placed.matrices) == {"model.layers.7.mlp.up_proj"}
    assert set(placed.floats) == {"model.layers.7.norm.weight"}
    assert placed.within("model.layers.7.") == settled


def test_parameters_are_what_a_reader_decodes() -> None:
    settled = Settled({"a": parts(0)}, {"norm.weight": torch.ones(3)})
    found = settled.parameters({"a": GRID})
    assert torch.equal(found["a.weight"], GRID.encode(*parts(0)).weight())
    assert torch.equal(found["norm.weight"], torch.ones(3))


def test_matrices_that_are_left_out() -> None:
    settled = Settled({"a": parts(0), "b": parts(1)}, {"norm.weight": torch.ones(3)})
    found = settled.without({"a"})
    assert set(found.matrices) == {"b"}
    assert found.floats is settled.floats


def test_on_a_device_and_back() -> None:
    settled = Settled({"a": parts(0)}, {"norm.weight": torch.ones(3)})
    here = settled.on(torch.device("cpu"))
    assert all(x is y for x, y in zip(here.matrices["a"], settled.matrices["a"], strict=True))
    there = settled.on(torch.device("meta"))
    assert {each.device.type for each in (*there.matrices["a"], *there.floats.values())} == {"meta"}


@pytest.mark.parametrize("grid", [GRID, SuperblockGrid("Q8_0")], ids=["groups", "blocks"])
def test_codes_that_another_device_computes_are_the_same(grid: Grid) -> None:
    weight = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    by_group = weight.reshape(3, grid.groups_of(64), -1)
    settled = Settled({"a": (weight, by_group.amin(dim=-1), by_group.amax(dim=-1))}, {})
    # "cpu:0" is another device by its name
    for device in ("cpu", "cpu:0"):
        found = settled.encoded({"a": grid}, torch.device(device))["a"]
        meant = grid.encode(*settled.matrices["a"])
        assert type(found) is type(meant)
        assert found.tensors().keys() == meant.tensors().keys()
        assert all(torch.equal(value, meant.tensors()[name]) for name, value in found.tensors().items())
