"""The rounding of groups in Triton: the weights are read once, and written once.

The matrix is seen as [O * G, S], a group of S inputs a row. A program takes some whole groups, or one
group piece by piece where it is long, finds their grids from the ends, and rounds. The gradient finds the
grids again: keeping codes would cost more memory than the two divisions cost time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from realign.kernels.launching import Launch, power_of_two, quotient

TILE = 2048  # weights in registers at a time, 16 a thread
WARPS = 4


@triton.jit
def _rounded(values):
    # adding 1.5 * 2^23 leaves no room for a fraction, and the hardware rounds halves to even;
    # above 2^22 whole numbers may move, but those are clamped afterwards either way
    return (values + 12582912.0) - 12582912.0


@triton.jit
def _grid_of(low, high, TOP: tl.constexpr, SYMMETRIC: tl.constexpr):
    # divisions as torch divides: codes depend on the last bit
    if SYMMETRIC:
        raw = tl.div_rn(2.0 * tl.maximum(tl.abs(low), tl.abs(high)), TOP * 1.0)
    else:
        low = tl.minimum(low, 0.0)
        high = tl.maximum(high, 0.0)
        raw = tl.div_rn(high - low, TOP * 1.0)
    stored = tl.minimum(tl.maximum(raw, 5.9604644775390625e-08), 65504.0)
    scale = tl.where(raw > 0, stored.to(tl.float16).to(tl.float32), 1.0)
    if SYMMETRIC:  # noqa: SIM108
        place = scale * 0.0 + (TOP + 1) // 2
    else:
        place = _rounded(tl.div_rn(-low, scale))
    zero = tl.minimum(tl.maximum(place, 0.0), TOP * 1.0)
    return raw, scale, place, zero


@triton.jit
def round_kernel(
    weight, low, high, rounded, codes, scales, zeros, groups, size,
    TOP: tl.constexpr, SYMMETRIC: tl.constexpr, AS_CODES: tl.constexpr,
    GROUPS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Round; AS_CODES writes codes, scales and zeros, otherwise the rounded weights are written."""
    group = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    known = group < groups
    start = tl.load(low + group, mask=known, other=0.0)
    end = tl.load(high + group, mask=known, other=0.0)
    _raw, scale, _place, zero = _grid_of(start, end, TOP, SYMMETRIC)
    if AS_CODES:
        tl.store(scales + group, scale.to(tl.float16), mask=known)
        tl.store(zeros + group, zero.to(tl.uint8), mask=known)
    for first in range(0, size, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        mask = known[:, None] & (column < size)[None, :]
        at = group[:, None] * size + column[None, :]
        values = tl.load(weight + at, mask=mask, other=0.0).to(tl.float32)
        code = _rounded(tl.div_rn(values, scale[:, None])) + zero[:, None]
        code = tl.minimum(tl.maximum(code, 0.0), TOP * 1.0)
        if AS_CODES:
            tl.store(codes + at, code.to(tl.uint8), mask=mask)
        else:
            tl.store(rounded + at, (code - zero[:, None]) * scale[:, None], mask=mask)


@triton.jit
def gradient_kernel(
    gradient, weight, low, high, of_weight, of_low, of_high, groups, size,
    TOP: tl.constexpr, SYMMETRIC: tl.constexpr, GROUPS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Gradients of weights and ends; formulas in reference.py."""
    group = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    known = group < groups
    start = tl.load(low + group, mask=known, other=0.0)
    end = tl.load(high + group, mask=known, other=0.0)
    raw, scale, place, zero = _grid_of(start, end, TOP, SYMMETRIC)
    by_scale = tl.full((GROUPS, COLUMNS), 0.0, tl.float32)
    clamped = tl.full((GROUPS, COLUMNS), 0.0, tl.float32)
    for first in range(0, size, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        mask = known[:, None] & (column < size)[None, :]
        at = group[:, None] * size + column[None, :]
        slope = tl.load(gradient + at, mask=mask, other=0.0).to(tl.float32)
        values = tl.load(weight + at, mask=mask, other=0.0).to(tl.float32)
        ratio = tl.div_rn(values, scale[:, None])
        free = _rounded(ratio) + zero[:, None]
        held = tl.minimum(tl.maximum(free, 0.0), TOP * 1.0)
        inside = free == held
        tl.store(of_weight + at, tl.where(inside, slope, 0.0).to(of_weight.dtype.element_ty), mask=mask)
        by_scale += slope * (held - zero[:, None] - tl.where(inside, ratio, 0.0))
        clamped += tl.where(inside, 0.0, slope)
    of_scale = tl.sum(by_scale, axis=1)
    live = raw > 0
    if SYMMETRIC:
        of_reach = tl.where(live, of_scale, 0.0) * (2.0 / TOP)
        below = tl.abs(start)
        above = tl.abs(end)
        share = tl.where(below > above, 1.0, tl.where(below == above, 0.5, 0.0))
        lower = of_reach * share * tl.where(start > 0, 1.0, tl.where(start < 0, -1.0, 0.0))
        upper = of_reach * (1.0 - share) * tl.where(end > 0, 1.0, tl.where(end < 0, -1.0, 0.0))
    else:
        of_zero = -scale * tl.sum(clamped, axis=1)
        of_zero = tl.where((place >= 0.0) & (place <= TOP * 1.0), of_zero, 0.0)
        of_scale += of_zero * tl.minimum(start, 0.0) / (scale * scale)
        of_raw = tl.where(live, of_scale, 0.0) / TOP
        lower = tl.where(start <= 0, -of_zero / scale - of_raw, 0.0)
        upper = tl.where(end >= 0, of_raw, 0.0)
    tl.store(of_low + group, lower, mask=known)
    tl.store(of_high + group, upper, mask=known)


def round_launch(
    weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool, *, as_codes: bool
) -> tuple[Launch, tuple[Tensor, ...]]:
    """Return the launch that rounds, and what it fills: the rounded weights, or codes, scales and zeros."""
    if as_codes:
        made: tuple[Tensor, ...] = (
            torch.empty(weight.shape, dtype=torch.uint8, device=weight.device),
            torch.empty(low.shape, dtype=torch.float16, device=weight.device),
            torch.empty(low.shape, dtype=torch.uint8, device=weight.device),
        )
        # what is not written needs an address all the same
        outputs = {"rounded": weight, "codes": made[0], "scales": made[1], "zeros": made[2]}
    else:
        made = (torch.empty(weight.shape, dtype=torch.float32, device=weight.device),)
        outputs = {"rounded": made[0], "codes": weight, "scales": low, "zeros": low}
    inputs = {"weight": weight, "low": low, "high": high}
    return _launch(round_kernel, {**inputs, **outputs}, bits, symmetric, AS_CODES=as_codes), made


def gradient_launch(
    gradient: Tensor, weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Launch, tuple[Tensor, Tensor, Tensor]]:
    """Return the launch that finds gradients, and what it fills: those of weight, low and high."""
    made = (torch.empty_like(weight), torch.empty_like(low), torch.empty_like(high))
    tensors = {"gradient": gradient, "weight": weight, "low": low, "high": high}
    outputs = dict(zip(("of_weight", "of_low", "of_high"), made, strict=True))
    return _launch(gradient_kernel, {**tensors, **outputs}, bits, symmetric), made


def rounded(weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool) -> Tensor:
    """As `reference.fake_quant`; all contiguous, on one GPU."""
    launch, (result,) = round_launch(weight, low, high, bits, symmetric, as_codes=False)
    launch.run()
    return result


def codes(
    weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.codes`."""
    launch, (found, scales, zeros) = round_launch(weight, low, high, bits, symmetric, as_codes=True)
    launch.run()
    return found, scales, zeros


def gradients(
    gradient: Tensor, weight: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.fake_quant_gradients`."""
    launch, made = gradient_launch(gradient, weight, low, high, bits, symmetric)
    launch.run()
    return made


def _launch(kernel: object, tensors: dict[str, Tensor], bits: int, symmetric: bool, **more: bool) -> Launch:
    groups = tensors["low"].numel()
    size = tensors["weight"].numel() // max(groups, 1)
    columns = min(power_of_two(max(size, 1)), TILE)
    together = TILE // columns
    return Launch(
        kernel,
        quotient(groups, together),
        {**tensors, "groups": groups, "size": size},
        {"TOP": (1 << bits) - 1, "SYMMETRIC": symmetric, "GROUPS": together, "COLUMNS": columns, **more},
        WARPS,
    )
