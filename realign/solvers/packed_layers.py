"""Linear layers of a settled block, computed from the four-bit codes that a checkpoint will hold.

A matrix that has been rounded is an eighth of its size as codes: on a GPU the chain goes on through
products with codes (`realign.kernels.w4a16_matmul`), whose weights are to the bit those of the grid.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from realign.decoder_blocks import linear
from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.kernels.w4a16_matmul import PackedWeight, w4a16_matmul
from realign.solvers.settled import Settled

BITS, TOGETHER = 4, 8  # codes of a word


@torch.no_grad()
def packed_weights(settled: Settled, grids: Mapping[str, Grid]) -> dict[str, PackedWeight]:
    """Return the codes of all matrices that are on a grid of four bits with groups by eight.

    Args:
        settled: of a block, where the codes are wanted.
        grids: by module, as in `settled`.
    """
    found = {}
    for name, parts in settled.matrices.items():
        grid, inputs = grids[name], parts[0].shape[1]
        if (
            isinstance(grid, GroupGrid)
            and grid.bits == BITS
            and not inputs // grid.groups_of(inputs) % TOGETHER
        ):
            found[name] = PackedWeight.of(grid.encode(*parts))
    return found


@contextmanager
def computed_packed(block: nn.Module, weights: Mapping[str, PackedWeight]) -> Iterator[None]:
    """Let linear layers of a block compute with codes in place of their own weights for a while.

    Args:
        block: it is left as it was.
        weights: by module within the block.
    """
    layers = {name: linear(block, name) for name in weights}
    for name, layer in layers.items():
        # on the object, before the class's own
        layer.forward = partial(_product, layer, weights[name])  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward


def _product(layer: nn.Linear, weight: PackedWeight, states: Tensor) -> Tensor:
    result = w4a16_matmul(states, weight)
    # the bias as it is at the time of the call: scales may be folded into it
    return result if layer.bias is None else result + layer.bias
