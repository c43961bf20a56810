"""Rounding groups of weights to 2^bits points between given ends, and its gradient, in plain torch.

With top = 2^bits - 1, for a group of weights w and its ends:

    scale = float16((high - low) / top)         low at most 0, high at least 0
    zero = clamp(round(-low / scale), 0, top)
    code = clamp(round(w / scale) + zero, 0, top)
    rounded = (code - zero) * scale

A symmetric grid has scale = float16(2 max(|low|, |high|) / top) and zero = (top + 1) / 2. Halves are rounded
to even. This is `realign.grids.group_grid` operation by operation, so that codes are the same.

Gradients pass through rounding, that of scales to float16 too, as if it were the identity (straight-through
estimator, Bengio et al., arXiv 1308.3432), and through clamps of codes, zeros and ends as what they are. For
the gradient g of `rounded`, with [..] 1 or 0:

    d w     = g [code not clamped]
    d scale = sum over the group of g (code - zero - [code not clamped] w / scale)
    d zero  = sum over the group of -g scale [code clamped]

and from there to the ends: zero = -low / scale where it is not clamped, scale = (high - low) / top.
"""

import torch
from torch import Tensor

SMALLEST_SCALE = 2.0**-24  # of float16
LARGEST_SCALE = 65504.0


def fake_quant(weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool) -> Tensor:
    """Return the rounded weights.

    Shapes:
        weight [O, I]; low and high float32 [O, G]; returns float32 [O, I].
    """
    scales, zeros, _ = grid_of(low, high, bits, symmetric)
    steps = _codes(weight, scales, zeros, bits).sub_(zeros[:, :, None])
    return steps.mul_(scales[:, :, None]).reshape(weight.shape)


def codes(
    weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `fake_quant` rounds to: codes uint8 [O, I], scales float16 and zeros uint8 [O, G]."""
    scales, zeros, _ = grid_of(low, high, bits, symmetric)
    found = _codes(weight, scales, zeros, bits).reshape(weight.shape)
    return found.to(torch.uint8), scales.half(), zeros.to(torch.uint8)


def fake_quant_gradients(
    gradient: Tensor, weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of weight, low and high, from that of the rounded weights.

    Shapes:
        gradient and weight [O, I]; low and high float32 [O, G]; results as the last three.
    """
    top = (1 << bits) - 1
    scales, zeros, raw = grid_of(low, high, bits, symmetric)
    grouped = gradient.float().reshape(*low.shape, -1)
    ratio = weight.float().reshape(grouped.shape) / scales[:, :, None]
    free = ratio.round().add_(zeros[:, :, None])
    held = free.clamp(0, top)
    # 1 where no code is clamped: they are whole numbers. Masks of bool are several times as slow
    inside = free.sub_(held).abs_().clamp_(max=1).neg_().add_(1)
    of_weight = grouped * inside
    steps = held.sub_(zeros[:, :, None]).addcmul_(ratio, inside, value=-1)
    of_scale = steps.mul_(grouped).sum(dim=-1)
    of_low = of_high = torch.zeros_like(low)
    if not symmetric:
        of_zero = -scales * (grouped - of_weight).sum(dim=-1)
        start = low.clamp(max=0)
        place = (-start / scales).round()
        of_zero = torch.where((place >= 0) & (place <= top), of_zero, 0.0)
        of_scale = of_scale + of_zero * start / (scales * scales)
        of_low = -of_zero / scales
    of_raw = torch.where(raw > 0, of_scale, 0.0)
    if symmetric:
        below, above = low.abs(), high.abs()
        # the longer side sets the scale; equal ones share
        share = torch.where(below > above, 1.0, torch.where(below == above, 0.5, 0.0))
        of_reach = of_raw * 2 / top
        of_low = of_reach * share * low.sign()
        of_high = of_reach * (1 - share) * high.sign()
    else:
        of_low = torch.where(low <= 0, of_low - of_raw / top, 0.0)
        of_high = torch.where(high >= 0, of_raw / top, 0.0)
    return of_weight.reshape(weight.shape).to(weight.dtype), of_low, of_high


def grid_of(low: Tensor, high: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return scales, zeros, and the scales before they are made ones that float16 has: float32 [O, G]."""
    top = (1 << bits) - 1
    if symmetric:
        raw = _divided(2 * torch.maximum(low.abs(), high.abs()), top)
    else:
        low, high = low.clamp(max=0), high.clamp(min=0)
        raw = _divided(high - low, top)
    stored = raw.clamp(SMALLEST_SCALE, LARGEST_SCALE).half().float()
    # a group of nothing but zeros has any scale
    scales = torch.where(raw > 0, stored, torch.ones_like(stored))
    if symmetric:
        return scales, torch.full_like(scales, (top + 1) // 2), raw
    return scales, (-low / scales).round().clamp(0, top), raw


def _divided(values: Tensor, top: int) -> Tensor:
    # a number would be turned into its reciprocal on a GPU, and the last bit of the quotient with it
    return values / torch.full_like(values, top)


def _codes(weight: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    grouped = weight.float().reshape(*scales.shape, -1)
    found = (grouped / scales[:, :, None]).round_()
    return found.add_(zeros[:, :, None]).clamp_(0, (1 << bits) - 1)
