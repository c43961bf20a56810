"""Inputs are rounded token by token while a context is open, and gradients pass."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from realign.solvers.rounded_inputs import inputs_rounded, rounded_by_token  # noqa: E402


@pytest.mark.parametrize("bits", [4, 8])
def test_each_token_has_its_own_scale(bits: int) -> None:
    values = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    values[0, 0] *= 1000
    values[1, 2] = 0
    rounded = rounded_by_token(values, bits)
    largest = values.abs().amax(dim=-1, keepdim=True)
    # half a step, and the positive end, which is half a step short of the largest value
    assert bool(((rounded - values).abs() <= largest / (2**bits - 1) * 1.001).all())
    assert not rounded[1, 2].any()
    steps = rounded[0, 0] / (largest[0, 0] / (2 ** (bits - 1) - 0.5))
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert len(steps.round().unique()) > 4


def test_gradients_pass_as_if_nothing_was_rounded() -> None:
    values = torch.randn(4, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weights = torch.arange(8.0)
    (rounded_by_token(values, 4) * weights).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, weights.expand(4, 8))


def test_linear_layers_round_while_it_is_open() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8))
    given = torch.randn(5, 8)
    before = module(given)
    with inputs_rounded(module, 4):
        inside = module(given)
        first = module[1](module[0](given))
    assert torch.equal(module(given), before)
    with inputs_rounded(module, None):
        assert torch.equal(module(given), before)
    assert not torch.allclose(inside, before)
    by_hand = module[1](module[0](rounded_by_token(given, 4)))
    assert torch.equal(first, by_hand)
    assert torch.equal(inside, module[2](rounded_by_token(by_hand, 4)))


def test_layers_are_given_back_after_an_error() -> None:
    module = nn.Linear(4, 4)

    def fails() -> None:
        with inputs_rounded(module, 4):
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    given = torch.randn(2, 4)
    assert torch.equal(module(given), nn.functional.linear(given, module.weight, module.bias))
