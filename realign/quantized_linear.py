"""The integers, scales and zeros of one quantized matrix, before any format packs them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qaudit.errors import InputError


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

    def tensors(self) -> dict[str, Tensor]:
        """Return all that it is made of."""
        return {
            "bits": torch.tensor(self.bits),
            "symmetric": torch.tensor(self.symmetric),
            "codes": self.codes,
            "zeros": self.zeros,
            "scales": self.scales,
            "group_of": self.group_of,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "QuantizedLinear":
        """Make it of what `tensors` returned.

        Raises:
            InputError: a tensor is missing.
        """
        try:
            return cls(
                bits=int(tensors["bits"]),
                symmetric=bool(tensors["symmetric"]),
                codes=tensors["codes"],
                zeros=tensors["zeros"],
                scales=tensors["scales"],
                group_of=tensors["group_of"],
            )
        except (KeyError, RuntimeError) as error:
            raise InputError(f"stored codes and scales are not whole ({error}); start again") from error
