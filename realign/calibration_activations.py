"""What goes into every layer of a model on calibration prompts, block by block.

Prompts come rendered in the chat template. Prompts of the same length in tokens go through together,
so that there is no padding whose activations would have to be left out.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from qaudit.errors import InputError
from realign.decoder_blocks import blocks_of

ROWS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Call:
    """One batch on its way into a block: hidden states [B, T, D] and the other arguments."""

    hidden: Tensor
    arguments: dict[str, Any]

    def on(self, device: torch.device) -> "Call":
        """Return the call with all of its tensors on a device."""
        return Call(
            self.hidden.to(device), {name: _on(value, device) for name, value in self.arguments.items()}
        )


def _on(value: Any, device: torch.device) -> Any:  # noqa: ANN401
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple | list):
        return type(value)(_on(each, device) for each in value)
    return value


@torch.no_grad()
def calls_into_blocks(model: Any, batches: Sequence[Tensor]) -> list[list[Call]]:  # noqa: ANN401
    """Return, for each block, the calls that the model makes into it, a batch a call.

    Only the first block's hidden states are kept; those of the others are empty, for they depend on
    how the blocks before are changed (see `outputs`). What else a block is given (masks, positions)
    does not.
    """
    calls: list[list[Call]] = [[] for _ in blocks_of(model)]

    def note(number: int) -> Any:  # noqa: ANN401
        def hook(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            named = dict(named)
            hidden = given[0] if given else named.pop("hidden_states")
            calls[number].append(Call(hidden if number == 0 else hidden.new_empty(0), named))

        return hook

    hooks = [
        block.register_forward_pre_hook(note(number), with_kwargs=True)
        for number, block in enumerate(blocks_of(model))
    ]
    try:
        for batch in batches:
            # without a cache: the same arguments are used again for changed blocks
            model.model(batch.to(model.device), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


@torch.no_grad()
def outputs(block: nn.Module, calls: Sequence[Call]) -> list[Tensor]:
    """Return a block's output for each call: the next block's hidden states."""
    results = []
    for call in calls:
        result = block(call.hidden, **call.arguments)
        results.append(result[0] if isinstance(result, tuple) else result)
    return results


def with_hidden(calls: Sequence[Call], hidden: Sequence[Tensor]) -> list[Call]:
    """Return the calls with other hidden states, batch by batch."""
    return [replace(call, hidden=states) for call, states in zip(calls, hidden, strict=True)]


@torch.no_grad()
def module_calls(block: nn.Module, calls: Sequence[Call], names: Sequence[str]) -> dict[str, list[Call]]:
    """Return what goes into modules of a block, by name, a batch a call."""
    seen: dict[str, list[Call]] = {name: [] for name in names}
    with _hooked(block, seen):
        outputs(block, calls)
    return seen


@contextmanager
def _hooked(block: nn.Module, seen: dict[str, list[Call]]) -> Iterator[None]:
    def note(name: str) -> Any:  # noqa: ANN401
        def hook(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            named = dict(named)
            seen[name].append(Call(given[0] if given else named.pop("hidden_states"), named))

        return hook

    hooks = [
        block.get_submodule(name).register_forward_pre_hook(note(name), with_kwargs=True) for name in seen
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def gram(calls: Sequence[Call]) -> Tensor:
    """Return the mean of x x^T over all tokens: float32 [I, I].

    The mean squared error of a linear layer whose weights are off by d [O, I] is then the sum over
    outputs of d gram d^T: how good a rounding is can be told without running it.
    """
    total: Tensor | None = None
    tokens = 0
    for call in calls:
        rows = call.hidden.reshape(-1, call.hidden.shape[-1]).float()
        product = rows.T @ rows
        total = product if total is None else total + product
        tokens += len(rows)
    if total is None:
        raise InputError("no calibration activations were seen; give some text to calibrate on")
    return total / tokens


def mean_size(calls: Sequence[Call]) -> Tensor:
    """Return the mean of |x| over all tokens: float32 [I]."""
    rows = torch.cat([call.hidden.reshape(-1, call.hidden.shape[-1]).float().abs() for call in calls])
    return rows.mean(dim=0)
