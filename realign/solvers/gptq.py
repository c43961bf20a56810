"""GPTQ (Frantar et al., arXiv 2210.17323): columns rounded one by one, each error made up for by the rest.

With H = X X^T over the calibration inputs of the layer, rounding column i by an error e_i costs least
when the columns not yet rounded move by -e_i / U[i, i] * U[i, i:], U the upper Cholesky factor of H^-1.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from realign.grids.group_grid import GroupGrid
from realign.quantized_linear import QuantizedLinear
from realign.solvers.inverse_factor import DAMPENING, inverse_factor

COLUMNS_AT_ONCE = 128
ActOrder = Literal["none", "static", "shuffled"]


@dataclass(frozen=True, slots=True)
class GptqOptions:
    """How a matrix is rounded.

    Attributes:
        grid: bits, groups and symmetry.
        act_order: in which order columns go. "none": as they stand; "static": those with the largest
            inputs first, groups as they stand; "shuffled": the same, and groups follow that order
            (`desc_act`, the file then names each input's group).
        dampening: share of H's mean diagonal that is added to it.
    """

    grid: GroupGrid
    act_order: ActOrder = "none"
    dampening: float = DAMPENING


@torch.no_grad()
def solve_gptq(weight: Tensor, hessian: Tensor, options: GptqOptions) -> QuantizedLinear:
    """Round one matrix.

    Shapes:
        weight [O, I]; hessian [I, I], X X^T or a multiple of it.

    Raises:
        InputError: inputs are not whole groups, or the activations are not finite.
    """
    grid = options.grid
    inputs = weight.shape[1]
    groups = grid.groups_of(inputs)
    size = inputs // groups
    weight, hessian = weight.float().clone(), hessian.float().clone()
    diagonal = hessian.diagonal()
    # an input that is always 0 has no say
    dead = diagonal == 0
    diagonal[dead] = 1
    weight[:, dead] = 0
    by_size = torch.argsort(diagonal, descending=True, stable=True)
    order = torch.arange(inputs, device=weight.device) if options.act_order == "none" else by_size
    place = torch.arange(inputs, device=weight.device) // size
    # the group of each column, in the order in which columns go
    group_of = place if options.act_order == "shuffled" else place[order]
    scales, zeros = _group_ranges(weight, grid, groups)
    weight, hessian = weight[:, order], hessian[order][:, order]
    factor = inverse_factor(hessian, options.dampening)
    codes = torch.empty_like(weight)
    # a block is one group or whole groups of the order: their ranges are then read off weights that
    # have all that earlier columns passed on
    fresh = options.act_order != "static"
    step = size if fresh and groups > 1 else COLUMNS_AT_ONCE
    for start in range(0, inputs, step):
        stop = min(start + step, inputs)
        if fresh and groups > 1:
            group = start // size
            part = weight[:, start:stop]
            scales[:, group], zeros[:, group] = grid.fit(part.amin(dim=1), part.amax(dim=1))
        errors = torch.empty_like(weight[:, start:stop])
        for column in range(start, stop):
            group = int(group_of[column])
            scale, zero = scales[:, group], zeros[:, group]
            codes[:, column] = grid.codes(weight[:, column], scale, zero)
            rounded = (codes[:, column] - zero) * scale
            error = (weight[:, column] - rounded) / factor[column, column]
            weight[:, column:stop] -= torch.outer(error, factor[column, column:stop])
            errors[:, column - start] = error
        weight[:, stop:] -= errors @ factor[start:stop, stop:]
    back = torch.argsort(order)
    return QuantizedLinear(
        bits=grid.bits,
        symmetric=grid.symmetric,
        codes=codes[:, back].to(torch.uint8),
        zeros=zeros.to(torch.uint8),
        scales=scales.half(),
        group_of=group_of[back],
    )


def _group_ranges(weight: Tensor, grid: GroupGrid, groups: int) -> tuple[Tensor, Tensor]:
    by_group = weight.reshape(len(weight), groups, -1)
    return grid.fit(by_group.amin(dim=-1), by_group.amax(dim=-1))
