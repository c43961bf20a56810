"""The separation loss of Q-realign at the last token of each prompt, with gradients.

Devices differ by the order of a sum over D channels, a score by at most (D + 8) * 2^-24 times the sum of
|w h| and |b| + |m|, and by their exponential: a loss by (4 + |m - y score|) * 2^-23 of itself.
"""

from typing import Any

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.launching import runs_on
from realign.kernels.separation_loss import reference


def separation_losses(
    hidden: Tensor, last: Tensor, sides: Tensor, weight: Tensor, bias: float, *, margin: float = 0.0
) -> Tensor:
    """Return softplus(margin - side (w . h + b)) of each prompt; gradients flow to the states only.

    Args:
        hidden: states after a block, of any float type.
        last: where each prompt's last token is that is no padding.
        sides: 1 for malicious prompts, -1 for benign ones.
        weight: of the probe, positive on the malicious side.
        bias: of the probe.
        margin: how far on its side a prompt should be.

    Shapes:
        hidden [N, T, D]; last and sides [N]; weight [D]; returns float32 [N].

    Raises:
        InputError: the shapes do not fit, or a last token is not one of T.
    """
    prompts = hidden.shape[:1]
    if (
        hidden.ndim != 3
        or last.shape != prompts
        or sides.shape != prompts
        or weight.shape != hidden.shape[2:]
    ):
        shapes = [tuple(each.shape) for each in (hidden, last, sides, weight)]
        raise InputError(
            f"states, last tokens, sides and probe of shapes {shapes} are not [N, T, D], [N], [N], [D]"
        )
    if len(last) and (int(last.min()) < 0 or int(last.max()) >= hidden.shape[1]):
        raise InputError(f"a prompt's last token is outside its {hidden.shape[1]} tokens")
    few = (last.long(), sides.float(), weight.float())
    given = (hidden.contiguous(), *(each.to(hidden.device).contiguous() for each in few))
    result: Tensor = _Separation.apply(*given, float(bias), float(margin))  # type: ignore[no-untyped-call]
    return result


class _Separation(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,  # noqa: ANN401
        hidden: Tensor,
        last: Tensor,
        sides: Tensor,
        weight: Tensor,
        bias: float,
        margin: float,
    ) -> Tensor:
        if runs_on(hidden):
            from realign.kernels.separation_loss import kernel

            losses, slopes = kernel.losses(hidden, last, sides, weight, bias, margin)
        else:
            losses, slopes = reference.losses(hidden, last, sides, weight, bias, margin)
        # of the states nothing but their shape and type is needed later
        context.save_for_backward(slopes, last, weight)
        context.like = (hidden.shape, hidden.dtype)
        return losses

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        slopes, last, weight = context.saved_tensors
        shape, dtype = context.like
        # a view of one number: it takes no memory
        like = torch.empty(1, dtype=dtype, device=slopes.device).expand(shape)
        whole = (gradient * slopes).contiguous()
        if runs_on(slopes):
            from realign.kernels.separation_loss import kernel

            found = kernel.gradient(whole, last, weight, like)
        else:
            found = reference.gradient(whole, last, weight, like)
        return found, None, None, None, None, None
