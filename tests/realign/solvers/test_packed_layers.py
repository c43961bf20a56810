"""Products with codes are those with the weights on the grid, and a block is left as it was."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import tiny_llama  # noqa: E402

from realign.decoder_blocks import blocks_of  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.solvers.packed_layers import computed_packed, packed_weights  # noqa: E402
from realign.solvers.settled import Settled  # noqa: E402

DOWN, VALUE = "mlp.down_proj", "self_attn.v_proj"


def settled_on(grid: Grid, block: torch.nn.Module, names: tuple[str, ...]) -> Settled:
    matrices = {}
    for name in names:
        weight = block.get_submodule(name).weight.detach()
        by_group = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
        matrices[name] = (weight, by_group.amin(dim=-1), by_group.amax(dim=-1))
    return Settled(matrices, {})


@pytest.mark.parametrize("size", [8, 32, -1])
def test_products_are_those_of_the_grid(size: int) -> None:
    block = blocks_of(tiny_llama(0))[0]
    grid = GroupGrid(4, size, symmetric=False)
    settled = settled_on(grid, block, (DOWN, VALUE))
    weights = packed_weights(settled, dict.fromkeys(settled.matrices, grid))
    for name, values in settled.parameters(dict.fromkeys(settled.matrices, grid)).items():
        assert torch.equal(weights[name.removesuffix(".weight")].decoded(), values)
    layer = block.get_submodule(DOWN)
    states = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(1))
    meant = torch.nn.functional.linear(states, grid.fake(*settled.matrices[DOWN]))
    plain = layer(states)
    with computed_packed(block, weights):
        assert torch.allclose(layer(states), meant, atol=1e-5)
        assert not torch.allclose(plain, meant, atol=1e-5)
    assert torch.equal(layer(states), plain)
    assert "forward" not in vars(layer)


def test_a_bias_is_added_and_hooks_are_run() -> None:
    block = torch.nn.ModuleDict({"only": torch.nn.Linear(16, 8)})
    grid = GroupGrid(4, 16, symmetric=True)
    settled = settled_on(grid, block, ("only",))
    layer, bias = block["only"], torch.arange(8.0)
    layer.register_forward_pre_hook(lambda _layer, given: (given[0] * 2,))
    states = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    meant = torch.nn.functional.linear(2 * states, grid.fake(*settled.matrices["only"]), bias)
    with torch.no_grad(), computed_packed(block, packed_weights(settled, {"only": grid})):
        layer.bias.copy_(bias)
        assert torch.allclose(layer(states), meant, atol=1e-5)


def test_a_block_is_left_as_it_was_after_an_error() -> None:
    block = blocks_of(tiny_llama(0))[0]
    grid = GroupGrid(4, 32, symmetric=False)
    settled = settled_on(grid, block, (DOWN,))

    def fails_inside() -> None:
        with computed_packed(block, packed_weights(settled, {DOWN: grid})):
            raise KeyError

    with pytest.raises(KeyError):
        fails_inside()
    assert "forward" not in vars(block.get_submodule(DOWN))


@pytest.mark.parametrize(
    "grid",
    [GroupGrid(3, 32, symmetric=False), GroupGrid(4, 4, symmetric=False), SuperblockGrid("Q4_0")],
    ids=["3 bits", "groups of 4", "ggml blocks"],
)
def test_other_grids_are_not_packed(grid: Grid) -> None:
    block = blocks_of(tiny_llama(0))[0]
    assert packed_weights(settled_on(grid, block, (DOWN,)), {DOWN: grid}) == {}
