"""Weights rounded to groups' grids within learned ends, with gradients.

Codes, scales, zeros and rounded weights are the same to the bit on every device, and the same as those of
`realign.grids.group_grid`. Gradients of ends are sums over a group: two devices differ by at most
2 * S * 2^-24 times the sum of the terms' sizes, S inputs a group.
"""

from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.group_fake_quant import reference
from realign.kernels.launching import check_same_device, runs_on


def group_fake_quant(weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool) -> Tensor:
    """Return the weights rounded to their groups' grids; gradients flow to all three.

    Args:
        weight: of any float type, finite.
        low: the lower end of each group's range.
        high: the upper end.
        bits: of a code, 1 to 8.
        symmetric: whether the zero is the middle code.

    Shapes:
        weight [O, I]; low and high [O, G], each for I / G neighbouring inputs; returns float32 [O, I].

    Raises:
        InputError: shapes or devices do not fit, or a number of bits that codes of a byte have not.
    """
    _check(weight, low, high, bits)
    result: Tensor = _FakeQuant.apply(weight, low, high, bits, symmetric)  # type: ignore[no-untyped-call]
    return result


@torch.no_grad()
def group_codes(
    weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes uint8 [O, I], scales float16 and zeros uint8 [O, G].

    (codes - zeros) * scales is to the bit what `group_fake_quant` returns.

    Raises:
        InputError: as `group_fake_quant`.
    """
    _check(weight, low, high, bits)
    given = (weight.contiguous(), low.float().contiguous(), high.float().contiguous())
    if runs_on(weight):
        from realign.kernels.group_fake_quant import kernel

        return kernel.codes(*given, bits, symmetric)
    return reference.codes(*given, bits, symmetric)


class _FakeQuant(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,  # noqa: ANN401
        weight: Tensor,
        low: Tensor,
        high: Tensor,
        bits: int,
        symmetric: bool,
    ) -> Tensor:
        given = (weight.contiguous(), low.float().contiguous(), high.float().contiguous())
        context.save_for_backward(*given)
        context.grid = (bits, symmetric)
        context.types = (low.dtype, high.dtype)
        if runs_on(weight):
            from realign.kernels.group_fake_quant import kernel

            return kernel.rounded(*given, bits, symmetric)
        return reference.fake_quant(*given, bits, symmetric)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        given = context.saved_tensors
        gradient = gradient.contiguous()
        if runs_on(gradient):
            from realign.kernels.group_fake_quant import kernel

            found = kernel.gradients(gradient, *given, *context.grid)
        else:
            found = reference.fake_quant_gradients(gradient, *given, *context.grid)
        of_weight, of_low, of_high = found
        return of_weight, of_low.to(context.types[0]), of_high.to(context.types[1]), None, None


def _check(weight: Tensor, low: Tensor, high: Tensor, bits: int) -> None:
    check_same_device(weight, low, high)
    fits = weight.ndim == 2 and low.ndim == 2 and low.shape == high.shape and len(low) == len(weight)
    if not fits or low.shape[1] == 0 or weight.shape[1] % low.shape[1]:
        shapes = [tuple(each.shape) for each in (weight, low, high)]
        raise InputError(f"weights, low and high ends of shapes {shapes} are not [O, I], [O, G], [O, G]")
    if not 1 <= bits <= 8:
        raise InputError(f"{bits} bits a code: give 1 to 8")
