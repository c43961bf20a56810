"""The grid that weights are rounded to: 2^bits points a group, spaced by a float16 scale."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.grids.straight_through import in_place_of, rounded
from realign.kernels.group_fake_quant import group_codes, group_fake_quant
from realign.quantized_linear import QuantizedLinear

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
        return scales, rounded(-low / scales).clamp(0, self.top)

    def codes(self, weights: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """Return the nearest codes, as float32; scales and zeros spread over the weights."""
        return (rounded(weights / scales) + zeros).clamp(0, self.top)

    def rounded(self, weights: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """Return the weights rounded to the grid."""
        return (self.codes(weights, scales, zeros) - zeros) * scales

    def fake(self, weight: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the weights rounded to the grid; see `Grid.fake`."""
        ends = (len(weight), self.groups_of(weight.shape[1]))
        return group_fake_quant(weight, low.expand(ends), high.expand(ends), self.bits, self.symmetric)

    @torch.no_grad()
    def encode(self, weight: Tensor, low: Tensor, high: Tensor) -> QuantizedLinear:
        """Return codes, zeros and scales; their `weight()` is bit for bit what `fake` returns."""
        groups = self.groups_of(weight.shape[1])
        low, high = low.expand(len(weight), groups), high.expand(len(weight), groups)
        codes, scales, zeros = group_codes(weight, low, high, self.bits, self.symmetric)
        return QuantizedLinear(
            bits=self.bits,
            symmetric=self.symmetric,
            codes=codes,
            zeros=zeros,
            scales=scales,
            group_of=torch.arange(weight.shape[1], device=weight.device) // (weight.shape[1] // groups),
        )


def _stored(scales: Tensor) -> Tensor:
    stored = in_place_of(scales, scales.clamp(SMALLEST_SCALE, LARGEST_SCALE).half().float())
    # a group of nothing but zeros has any scale
    return torch.where(scales > 0, stored, torch.ones_like(stored))
