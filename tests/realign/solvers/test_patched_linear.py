"""A patched layer is the parent's until it is patched, always on the grid, and trainable through it."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.functional import linear  # noqa: E402

from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.solvers.patched_linear import PatchedLinear, PatchShape, patched, rounded_once  # noqa: E402
from realign.solvers.range_search import best_ranges  # noqa: E402
from realign.solvers.rounded_inputs import inputs_rounded  # noqa: E402

GRID = GroupGrid(4, 8, symmetric=False)
SHAPES = [PatchShape(), PatchShape(rank=3), PatchShape(ranges=True), PatchShape(rank=3, ranges=True)]


def made(shape: PatchShape, *, bias: bool = True) -> PatchedLinear:
    torch.manual_seed(3)
    layer = nn.Linear(16, 6, bias=bias).requires_grad_(False)
    draw = torch.Generator().manual_seed(4)
    return PatchedLinear(layer, GRID, best_ranges(layer.weight, GRID), shape, draw)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_new_patch_changes_nothing_but_rounds(shape: PatchShape) -> None:
    layer = made(shape)
    hidden = torch.randn(2, 5, 16)
    rounded = GRID.fake(layer.layer.weight, *best_ranges(layer.layer.weight, GRID))
    assert torch.equal(layer(hidden), linear(hidden, rounded, layer.layer.bias))


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_what_is_trained_is_what_is_encoded(shape: PatchShape) -> None:
    layer = made(shape)
    hidden, wanted = torch.randn(40, 16), torch.randn(40, 6)
    optimizer = torch.optim.Adam(layer.parts.values(), lr=0.02)
    losses = []
    for _ in range(30):
        loss = (layer(hidden) - wanted).square().mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(bool((part.detach() != 0).any()) for part in layer.parts.values())
    assert torch.equal(layer.encoded().weight(), layer.rounded())
    assert torch.equal(layer(hidden), linear(hidden, layer.encoded().weight(), layer.layer.bias))


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_inputs_are_rounded_as_a_runtime_rounds_them(shape: PatchShape) -> None:
    layer = made(shape)
    own, hidden = layer.layer, torch.randn(3, 7, 16, requires_grad=True)
    ranges = best_ranges(own.weight, GRID)
    draw = torch.Generator().manual_seed(4)
    of_bits = PatchedLinear(own, GRID, ranges, shape, draw, input_bits=3)
    plain = nn.Linear(16, 6)
    plain.load_state_dict({"weight": GRID.fake(own.weight, *ranges), "bias": own.bias})
    with inputs_rounded(plain, 3):
        meant = plain(hidden)
    got = of_bits(hidden)
    assert torch.equal(got, meant)
    assert not torch.equal(got, layer(hidden))
    # what is before the layer is trained through the rounding
    (slope,) = torch.autograd.grad(got.sum(), [hidden])
    assert bool((slope != 0).any())


def test_the_held_weights_are_rounded_once() -> None:
    layer = made(PatchShape())
    hidden = torch.randn(5, 16)
    with rounded_once({"": layer}):
        first = layer(hidden)
        assert layer.held is not None
        (slope,) = torch.autograd.grad(first.sum(), [layer.held], retain_graph=True)
        assert torch.allclose(slope, hidden.sum(0).expand(6, 16))
        held = layer.held
        assert torch.equal(layer(hidden), first)
        assert layer.held is held
        assert bool(torch.autograd.grad(layer(hidden).sum(), [layer.parts["U"]])[0].any())
    assert layer.held is None
    assert torch.equal(layer(hidden), first)


def test_a_model_gets_its_own_layers_back() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(16, 6), nn.ReLU())
    layer = PatchedLinear(
        model[0],  # type: ignore[arg-type]
        GRID,
        best_ranges(model[0].weight, GRID),  # type: ignore[arg-type]
        PatchShape(),
        torch.Generator(),
    )
    before = model[0]
    with patched(model, {"0": layer}):
        assert model[0] is layer
    assert model[0] is before


def test_it_gets_them_back_from_a_failure_too() -> None:
    own = nn.Linear(16, 6)
    model = nn.Sequential(own)
    layer = made(PatchShape())
    layer.layer = own
    with pytest.raises(RuntimeError, match="shapes"), patched(model, {"0": layer}):
        model(torch.zeros(1, 3))
    assert model[0] is own
