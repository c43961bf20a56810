"""Where each group's range ends before anything is trained: drawn in where that lowers the error.

Of ggml's block types llama.cpp's own search is tried as well: it looks at scales and minima apart and
finds ranges that lose a quarter to a third less.
"""

import torch
from torch import Tensor

from qaudit.checkpoints.codecs.ggml import ggml_base
from realign.grids.ggml_quantizer import ggml_quantized
from realign.grids.grid import Grid
from realign.grids.superblock_grid import SuperblockGrid

# in sixteenths, for a symmetric range that is given with its outer half step is a sixteenth shorter
SHORTEST, SIXTEENTHS = 8, 16


@torch.no_grad()
def best_ranges(weight: Tensor, grid: Grid, importance: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the ends of each group's range with the least squared error among shortened ones.

    The first tried is the whole range, so that weights which lie on the grid already stay where they are.

    Args:
        weight: float32 [O, I].
        grid: what it is rounded to.
        importance: mean of x^2 of each input, float32 [I]; None for all alike.

    Shapes:
        low and high, float32 [O, G].
    """
    groups = grid.groups_of(weight.shape[1])
    by_group = weight.reshape(len(weight), groups, -1)
    lowest, highest = by_group.amin(dim=-1), by_group.amax(dim=-1)
    counts = torch.ones_like(weight[0]) if importance is None else importance
    least = torch.full_like(lowest, torch.inf)
    low, high = lowest, highest
    for sixteenths in range(SIXTEENTHS, SHORTEST - 1, -1):
        share = sixteenths / SIXTEENTHS
        off = (grid.fake(weight, lowest * share, highest * share) - weight).square() * counts
        errors = off.reshape(by_group.shape).sum(dim=-1)
        better = errors < least
        least = torch.where(better, errors, least)
        low = torch.where(better, lowest * share, low)
        high = torch.where(better, highest * share, high)
    if isinstance(grid, SuperblockGrid) and ggml_base() is not None and bool(torch.isfinite(weight).all()):
        found = grid.ranges_of(ggml_quantized(weight, grid.ggml_type, importance))
        theirs = found[0].to(weight.device), found[1].to(weight.device)
        # groups of a superblock are rounded together: what counts is the whole
        errors_of = [
            float(((grid.fake(weight, *r) - weight).square() * counts).sum()) for r in (theirs, (low, high))
        ]
        if errors_of[0] < errors_of[1]:
            return theirs
    return low, high
