"""Products with matrices of 4-bit codes that stay packed in memory.

Sums are in float32 with exact weights on every device, so that results differ by the order of sums: by at
most (I + 8) * 2^-22 times the sum of |x w|, and by the rounding to x's type.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.int4_packing import pack_gptq
from realign.kernels.launching import check_same_device, runs_on
from realign.kernels.w4a16_matmul import reference
from realign.quantized_linear import QuantizedLinear

FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """A matrix of 4-bit codes as GPTQ packs them.

    Attributes:
        words: int32 [I/8, O].
        zeros: uint8 [G, O].
        scales: float16 [G, O].
    """

    words: Tensor
    zeros: Tensor
    scales: Tensor

    @classmethod
    def of(cls, linear: QuantizedLinear) -> "PackedWeight":
        """Pack a matrix.

        Raises:
            InputError: not 4 bits, or groups that are not runs of inputs by 8.
        """
        inputs, groups = linear.codes.shape[1], linear.scales.shape[1]
        if linear.bits != 4 or inputs % (8 * groups) or not linear.in_order:
            raise InputError(
                f"{linear.bits} bits, {inputs} inputs in {groups} groups: "
                "4 bits in equal runs by 8 are needed"
            )
        return cls(pack_gptq(linear.codes), linear.zeros.T.contiguous(), linear.scales.T.contiguous())

    @property
    def inputs(self) -> int:
        """I."""
        return 8 * len(self.words)

    def decoded(self) -> Tensor:
        """Return the weights: float32 [O, I], exact."""
        return reference.decoded(self.words, self.zeros, self.scales)


def w4a16_matmul(x: Tensor, weight: PackedWeight) -> Tensor:
    """Return x weight^T in x's type; gradients flow to x.

    Shapes:
        x [..., I]; returns [..., O].

    Raises:
        InputError: as many inputs as the matrix has are needed, in float32, float16 or bfloat16, where it is.
    """
    check_same_device(x, weight.words, weight.zeros, weight.scales)
    if x.shape[-1] != weight.inputs or x.dtype not in FLOATS:
        raise InputError(f"{x.dtype} of shape {tuple(x.shape)} for a matrix of {weight.inputs} inputs")
    rows = x.reshape(-1, weight.inputs)
    result: Tensor = _Matmul.apply(rows, weight)  # type: ignore[no-untyped-call]
    return result.reshape(*x.shape[:-1], -1)


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: PackedWeight) -> Tensor:  # noqa: ANN401
        context.weight = weight
        if runs_on(x):
            from realign.kernels.w4a16_matmul import kernel

            return kernel.matmul(x.contiguous(), weight.words, weight.zeros, weight.scales)
        return reference.matmul(x, weight.words, weight.zeros, weight.scales)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        # rarely asked for: calibration runs forward
        return (gradient.float() @ context.weight.decoded()).to(gradient.dtype), None
