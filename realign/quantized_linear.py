"""The integers, scales and zeros of one quantized matrix, before any format packs them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class QuantizedLinear:
    """weight[o, i] = (codes[o, i] - zeros[o, group_of[i]]) * scales[o, group_of[i]].

    Shapes: O outputs, I inputs, G groups.

    Attributes:
        bits: 2, 3, 4 or 8.
        symmetric: every zero is 2^(bits - 1).
        codes: uint8 [O, I], each below 2^bits.
        zeros: uint8 [O, G], each below 2^bits.
        scales: float16 [O, G], as files store them.
        group_of: int64 [I]; not in order where columns were taken by importance (act-order).
    """

    bits: int
    symmetric: bool
    codes: Tensor
    zeros: Tensor
    scales: Tensor
    group_of: Tensor

    @property
    def in_order(self) -> bool:
        """Whether group g holds the g-th run of inputs."""
        inputs, groups = self.codes.shape[1], self.scales.shape[1]
        size = -(-inputs // groups)
        return bool(torch.equal(self.group_of, torch.arange(inputs, device=self.group_of.device) // size))

    def weight(self) -> Tensor:
        """Return the weights that a runtime computes with: float32 [O, I], exact.

        A difference of codes has 9 bits and a scale 11, so that the product fits float32.
        """
        steps = self.codes.float() - self.zeros.float()[:, self.group_of]
        return steps * self.scales.float()[:, self.group_of]
