"""One matrix that is learned together with its rounding: its weights, and where its ranges end.

A group's end is a learned factor times its own least or largest weight, as in OmniQuant
(arXiv 2308.13137); not under a sigmoid, which could never leave a range as wide as it is: at six bits
that alone doubles the error. Where the weights themselves are learned (as block by block in
EfficientQAT, arXiv 2407.11062), that is which way each of them is rounded.
"""

import torch
from torch import Tensor, nn

from realign.grids.grid import Grid
from realign.solvers.range_search import best_ranges

# natural logs of factors stay within this, so that no range turns to nothing or overflows
LARGEST_LOG = 3.0


class RoundedMatrix:
    """A matrix on its way onto a grid.

    Args:
        weight: float32 [O, I], not changed.
        grid: what it is rounded to.
        low: ends of each group's range to begin with, float32 [O, G].
        high: the other ends.

    Attributes:
        weight: parameter [O, I].
        ends: parameter [2, O, G], natural logs of factors on the ranges that it began with.
    """

    def __init__(self, weight: Tensor, grid: Grid, low: Tensor, high: Tensor) -> None:
        self.grid = grid
        self.weight = nn.Parameter(weight.detach().clone())
        lowest, highest = self._extremes(self.weight.detach())
        self._shares = torch.stack([_share(low, lowest), _share(high, highest)])
        self.ends = nn.Parameter(torch.zeros_like(self._shares))

    @classmethod
    def searched(cls, weight: Tensor, grid: Grid, importance: Tensor | None = None) -> "RoundedMatrix":
        """Begin with the ranges of least error.

        Args:
            weight: float32 [O, I].
            grid: what it is rounded to.
            importance: mean of x^2 of each input, float32 [I].
        """
        return cls(weight, grid, *best_ranges(weight, grid, importance))

    @property
    def step(self) -> float:
        """The mean distance of two neighbouring points of the grid, as the ranges are now."""
        low, high = self.ranges(self.weight.detach())
        return float((high - low).detach().mean()) / ((1 << self.grid.bits) - 1)

    def scaled(self, inputs: Tensor | None, outputs: Tensor | None) -> Tensor:
        """Return the weights times a scale of each input [I] and over one of each output [O], if given."""
        weight: Tensor = self.weight
        if inputs is not None:
            weight = weight * inputs
        return weight if outputs is None else weight / outputs[:, None]

    def ranges(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of each group's range for weights that may be scaled: low and high [O, G]."""
        lowest, highest = self._extremes(weight)
        shares = self._shares * self.ends.clamp(-LARGEST_LOG, LARGEST_LOG).exp()
        return shares[0] * lowest, shares[1] * highest

    def rounded(self, inputs: Tensor | None = None, outputs: Tensor | None = None) -> Tensor:
        """Return the scaled weights on the grid, with gradients: float32 [O, I]."""
        weight = self.scaled(inputs, outputs)
        return self.grid.fake(weight, *self.ranges(weight))

    @torch.no_grad()
    def settled(
        self, inputs: Tensor | None = None, outputs: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scaled weights and their ranges: what `Grid.encode` is given."""
        weight = self.scaled(inputs, outputs).detach().clone()
        low, high = self.ranges(weight)
        return weight, low.clone(), high.clone()

    def _extremes(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        by_group = weight.reshape(len(weight), self.grid.groups_of(weight.shape[1]), -1)
        return by_group.amin(dim=-1), by_group.amax(dim=-1)


def _share(end: Tensor, extreme: Tensor) -> Tensor:
    # a group whose least or largest weight is 0 has no end there to be moved
    return torch.where(extreme == 0, 1, end / torch.where(extreme == 0, 1, extreme))
