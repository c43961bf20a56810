"""Inputs of linear layers rounded as w8a8 runtimes round them: token by token, as they come.

Symmetric, the largest |x| of a token at the end of the codes, as compressed-tensors' dynamic scheme.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from realign.grids.straight_through import in_place_of

SMALLEST = 1e-12


def rounded_by_token(values: Tensor, bits: int) -> Tensor:
    """Return values [..., I] rounded to integers times one scale for each token; gradients pass through."""
    with torch.no_grad():
        half = 1 << (bits - 1)
        scales = values.abs().amax(dim=-1, keepdim=True) / (half - 0.5)
        scales = scales.clamp(min=SMALLEST)
        stored = (values / scales).round().clamp(-half, half - 1) * scales
    return in_place_of(values, stored)


@contextmanager
def inputs_rounded(module: nn.Module, bits: int | None) -> Iterator[None]:
    """Round the inputs of all linear layers within a module for a while; None rounds nothing."""

    def before(_layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (rounded_by_token(given[0], bits or 0), *given[1:])

    layers = [each for each in module.modules() if isinstance(each, nn.Linear)] if bits else []
    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
