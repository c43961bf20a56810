"""GPTQ's error compensation (Frantar et al., arXiv 2210.17323) on any grid whose ranges are chosen already.

Columns are rounded in order; what rounding takes off one is made up for by those after it, as far as
their inputs occur together. The ranges stay as they were given, so that superblocks, whose scales are
rounded together, need not be known here.
"""

import torch
from torch import Tensor

from realign.grids.grid import Grid
from realign.solvers.inverse_factor import inverse_factor

BLOCK = 128
# ranges are left by so many of their lengths, so that every code saturates
FAR = 64.0


@torch.no_grad()
def compensated(weight: Tensor, grid: Grid, low: Tensor, high: Tensor, hessian: Tensor) -> Tensor:
    """Return weights whose nearest points on the grid make up for each other's errors.

    Args:
        weight: float32 [O, I].
        grid: what they are rounded to; its points are evenly spaced within a group.
        low: ends of each group's range, float32 [O, G].
        high: the other ends.
        hessian: mean of x x^T of the inputs, float32 [I, I].

    Shapes:
        float32 [O, I], to be given to `grid.encode` with the same ranges.

    Raises:
        InputError: the activations are not finite, or degenerate.
    """
    first, step = _points(weight, grid, low, high)
    last = (1 << grid.bits) - 1
    mixing = inverse_factor(hessian.double()).float()
    remaining, result = weight.clone(), torch.empty_like(weight)
    for begin in range(0, weight.shape[1], BLOCK):
        end = min(begin + BLOCK, weight.shape[1])
        errors = torch.zeros_like(weight[:, begin:end])
        for column in range(begin, end):
            value = remaining[:, column]
            places = torch.where(step[:, column] > 0, (value - first[:, column]) / step[:, column], 0)
            nearest = first[:, column] + places.round().clamp(0, last) * step[:, column]
            result[:, column] = nearest
            error = (value - nearest) / mixing[column, column]
            remaining[:, column:end] -= error[:, None] * mixing[column, column:end]
            errors[:, column - begin] = error
        remaining[:, end:] -= errors @ mixing[begin:end, end:]
    return result


def _points(weight: Tensor, grid: Grid, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return each weight's lowest point and the distance between points: [O, I] both."""
    size = weight.shape[1] // low.shape[1]
    length = (high - low).abs() + low.abs() + high.abs()
    bottom = grid.fake((low - FAR * length).repeat_interleave(size, dim=1), low, high)
    top = grid.fake((high + FAR * length).repeat_interleave(size, dim=1), low, high)
    return torch.minimum(bottom, top), (top - bottom).abs() / ((1 << grid.bits) - 1)
