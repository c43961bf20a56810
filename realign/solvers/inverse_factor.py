"""The Cholesky factor that GPTQ passes errors on by (Frantar et al., arXiv 2210.17323)."""

import torch
from torch import Tensor

from qaudit.errors import InputError

DAMPENING = 0.01  # of the mean of the diagonal, as published


def inverse_factor(hessian: Tensor, dampening: float = DAMPENING) -> Tensor:
    """Return the upper Cholesky factor of the dampened hessian's inverse, in the hessian's own type.

    Args:
        hessian: mean of x x^T of the inputs, or a multiple of it, [I, I]; not changed.
        dampening: share of the diagonal's mean that is added to it, and more where that does not do.

    Raises:
        InputError: the activations are not finite, or all alike.
    """
    if not bool(torch.isfinite(hessian).all()):
        raise InputError("calibration activations are not finite; is the checkpoint whole?")
    hessian = hessian.clone()
    diagonal = hessian.diagonal()
    # an input that never occurs costs nothing, whatever it is multiplied by
    diagonal[diagonal == 0] = 1.0
    mean = diagonal.mean()
    eye = torch.eye(len(hessian), device=hessian.device, dtype=hessian.dtype)
    share = dampening
    # one of few tokens is not positive definite by much: more is added until it is
    while share <= 1:
        lower, failed = torch.linalg.cholesky_ex(hessian + share * mean * eye)
        if not int(failed):
            upper: Tensor
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not int(failed):
                return upper
        share *= 10
    raise InputError("calibration activations are degenerate; give more prompts")
