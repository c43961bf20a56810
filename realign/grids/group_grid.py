"""The grid that weights are rounded to: 2^bits points a group, spaced by a float16 scale."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qaudit.errors import InputError

SMALLEST_SCALE = 2.0**-24  # of float16
LARGEST_SCALE = 65504.0


@dataclass(frozen=True, slots=True)
class GroupGrid:
    """How groups of inputs share a scale and a zero.

    Attributes:
        bits: of a code.
        group_size: inputs that share a scale; -1 for all inputs of an output.
        symmetric: the zero is the middle code; otherwise it is where the group's range puts it.
    """

    bits: int
    group_size: int
    symmetric: bool

    @property
    def top(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    def groups_of(self, inputs: int) -> int:
        """Return how many groups a row of inputs has.

        Raises:
            InputError: they are not whole groups.
        """
        size = inputs if self.group_size == -1 else self.group_size
        if size < 1 or inputs % size:
            raise InputError(f"{inputs} inputs are not whole groups of {size}; choose another group size")
        return inputs // size

    def fit(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return scales and zeros, both float32, for ranges [low, high] of weights of any one shape.

        Scales are rounded to float16 here, so that codes are chosen for the scale that is stored.
        """
        if self.symmetric:
            reach = torch.maximum(low.abs(), high.abs())
            scales = _stored(2 * reach / self.top)
            return scales, torch.full_like(scales, (self.top + 1) // 2)
        # zero itself must be on the grid: a group of weights of one sign has its end there
        low, high = low.clamp(max=0), high.clamp(min=0)
        scales = _stored((high - low) / self.top)
        return scales, (-low / scales).round().clamp(0, self.top)

    def codes(self, weights: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """Return the nearest codes, as float32; scales and zeros spread over the weights."""
        return ((weights / scales).round() + zeros).clamp(0, self.top)

    def rounded(self, weights: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """Return the weights rounded to the grid."""
        return (self.codes(weights, scales, zeros) - zeros) * scales


def _stored(scales: Tensor) -> Tensor:
    rounded = scales.clamp(SMALLEST_SCALE, LARGEST_SCALE).half().float()
    # a group of nothing but zeros has any scale
    return torch.where(scales > 0, rounded, torch.ones_like(rounded))
