"""Rounding that training can see through: the value is rounded, the gradient is that of the identity.

Bengio et al., arXiv 1308.3432. The usual `x + (rounded - x).detach()` is off by a last bit; codes are
compared bit for bit here, so that the rounded value itself goes forward.
"""

from typing import Any

import torch
from torch import Tensor


class _InPlaceOf(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, _meant: Tensor, stored: Tensor) -> Tensor:  # noqa: ANN401
        return stored.view_as(stored)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return gradient, None


def in_place_of(meant: Tensor, stored: Tensor) -> Tensor:
    """Return `stored` exactly; gradients go to `meant`, which has its shape."""
    result: Tensor = _InPlaceOf.apply(meant, stored.detach())  # type: ignore[no-untyped-call]
    return result


def rounded(values: Tensor) -> Tensor:
    """Return the nearest whole numbers, halves to even; gradients as if nothing was rounded."""
    return in_place_of(values, values.detach().round())


class _OnPoints(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,  # noqa: ANN401
        values: Tensor,
        scales: Tensor,
        minima: Tensor | None,
        smallest: int,
        largest: int,
    ) -> Tensor:
        codes, places = _codes(values, scales, minima, smallest, largest)
        context.save_for_backward(codes, places, scales == 0)
        context.has_minima = minima is not None
        result = codes * scales
        return result if minima is None else result.sub_(minima)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        codes, places, single = context.saved_tensors
        # a value beyond the points moves nothing; its group's end does
        inside = gradient * (places.round() == codes).logical_and_(~single)
        of_scales = (gradient * codes).sub_(inside * places).sum(dim=-1, keepdim=True)
        of_minima = (inside - gradient).sum(dim=-1, keepdim=True) if context.has_minima else None
        return inside, of_scales, of_minima, None, None


def on_points(values: Tensor, scales: Tensor, minima: Tensor | None, smallest: int, largest: int) -> Tensor:
    """Return the nearest of the points `scale * code - minimum`, with gradients to all three.

    As composed of `rounded` and `clamp`, in one piece: it is what training spends its time on.

    Shapes:
        values [..., N]; scales and minima [..., 1]; a group whose scale is 0 has one point.
    """
    result: Tensor = _OnPoints.apply(values, scales, minima, smallest, largest)  # type: ignore[no-untyped-call]
    return result


def nearest_codes(
    values: Tensor, scales: Tensor, minima: Tensor | None, smallest: int, largest: int
) -> Tensor:
    """Return the codes of those points, as float32."""
    return _codes(values, scales, minima, smallest, largest)[0]


def _codes(
    values: Tensor, scales: Tensor, minima: Tensor | None, smallest: int, largest: int
) -> tuple[Tensor, Tensor]:
    """Return the codes, and the places between them before rounding."""
    above = values if minima is None else values + minima
    places = above / torch.where(scales == 0, torch.inf, scales)
    return places.round().clamp_(smallest, largest), places
