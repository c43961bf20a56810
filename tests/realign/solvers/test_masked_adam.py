"""Adam as torch has it where everything may change, and nothing elsewhere."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from realign.solvers.masked_adam import MaskedAdam


def slopes(number: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(number)
    return [torch.randn(4, 3, generator=draw), torch.randn(5, generator=draw)]


def parameters() -> dict[str, nn.Parameter]:
    draw = torch.Generator().manual_seed(99)
    return {
        "a": nn.Parameter(torch.randn(4, 3, generator=draw)),
        "b": nn.Parameter(torch.randn(5, generator=draw)),
    }


def test_it_is_torch_s_adam_without_a_mask() -> None:
    mine, theirs = parameters(), parameters()
    adam = MaskedAdam(mine)
    other = torch.optim.Adam([{"params": [theirs["a"]], "lr": 0.01}, {"params": [theirs["b"]], "lr": 0.1}])
    one = torch.ones(1, dtype=torch.bool)
    for number in range(20):
        adam.step(slopes(number), [one, one], [0.01, 0.1])
        for parameter, slope in zip(theirs.values(), slopes(number), strict=True):
            parameter.grad = slope
        other.step()
    for name in mine:
        assert torch.allclose(mine[name], theirs[name], atol=1e-6)


def test_what_is_masked_stays_and_moves_when_it_may() -> None:
    mine = parameters()
    before = mine["a"].detach().clone()
    adam = MaskedAdam(mine)
    rows = torch.tensor([[True], [False], [True], [False]])
    for number in range(3):
        adam.step(slopes(number), [rows, torch.zeros(5, dtype=torch.bool)], [0.01, 0.1])
    moved = mine["a"].detach() != before
    assert moved.tolist() == rows.expand(4, 3).tolist()
    assert torch.equal(mine["b"], parameters()["b"])
    adam.step(slopes(3), [~rows, torch.ones(5, dtype=torch.bool)], [0.01, 0.1])
    assert bool((mine["a"].detach() != before).all())


def test_it_goes_on_to_the_same_bits() -> None:
    one = torch.ones(1, dtype=torch.bool)
    straight = MaskedAdam(parameters())
    for number in range(6):
        straight.step(slopes(number), [one, one], [0.01, 0.1])
    first = MaskedAdam(parameters())
    for number in range(3):
        first.step(slopes(number), [one, one], [0.01, 0.1])
    stored = first.tensors()
    first.step(slopes(9), [one, one], [1.0, 1.0])
    second = MaskedAdam({name: nn.Parameter(torch.zeros_like(value)) for name, value in parameters().items()})
    second.load(stored)
    for number in range(3, 6):
        second.step(slopes(number), [one, one], [0.01, 0.1])
    assert all(
        torch.equal(a, b) for a, b in zip(straight.tensors().values(), second.tensors().values(), strict=True)
    )
