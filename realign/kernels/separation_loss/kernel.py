"""The separation loss in Triton: last tokens are read where they lie, and the gradient is written once.

torch gathers the last tokens into a matrix, and for the gradient first fills all states with zeros and then
scatters into them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from realign.kernels.launching import Launch, power_of_two, quotient

CHANNELS = 1024
TOKENS = 8
WARPS = 4


@triton.jit
def loss_kernel(
    hidden, last, sides, weight, losses, slopes, tokens, channels, bias, margin, CHANNELS: tl.constexpr
):  # fmt: skip
    """Loss and slope of one prompt a program."""
    prompt = tl.program_id(0).to(tl.int64)
    row = hidden + (prompt * tokens + tl.load(last + prompt)) * channels
    products = tl.full((CHANNELS,), 0.0, tl.float32)
    for first in range(0, channels, CHANNELS):
        channel = first + tl.arange(0, CHANNELS)
        known = channel < channels
        states = tl.load(row + channel, mask=known, other=0.0).to(tl.float32)
        products += states * tl.load(weight + channel, mask=known, other=0.0)
    side = tl.load(sides + prompt)
    behind = margin - side * (tl.sum(products, axis=0) + bias)
    # softplus without overflow; log(1 + e) is exact for small e as log(u) e / (u - 1), u = 1 + e (Kahan)
    small = tl.exp(-tl.abs(behind))
    whole = 1.0 + small
    tail = tl.where(
        whole == 1.0, small, tl.div_rn(tl.log(whole) * small, tl.where(whole == 1.0, 1.0, whole - 1.0))
    )
    tl.store(losses + prompt, tl.maximum(behind, 0.0) + tail)
    share = tl.div_rn(tl.where(behind >= 0, 1.0, small), whole)
    tl.store(slopes + prompt, -side * share)


@triton.jit
def gradient_kernel(
    slopes, last, weight, gradient, tokens, channels, token_tiles, channel_tiles,
    TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A tile of tokens and channels of one prompt a program; zeros but at the last token."""
    program = tl.program_id(0).to(tl.int64)
    channel = (program % channel_tiles) * CHANNELS + tl.arange(0, CHANNELS)
    token = (program // channel_tiles % token_tiles) * TOKENS + tl.arange(0, TOKENS)
    prompt = program // channel_tiles // token_tiles
    known = channel < channels
    slope = tl.where(token == tl.load(last + prompt), tl.load(slopes + prompt), 0.0)
    values = slope[:, None] * tl.load(weight + channel, mask=known, other=0.0)[None, :]
    at = (prompt * tokens + token)[:, None] * channels + channel[None, :]
    mask = (token < tokens)[:, None] & known[None, :]
    tl.store(gradient + at, values.to(gradient.dtype.element_ty), mask=mask)


def loss_launch(
    hidden: Tensor, last: Tensor, sides: Tensor, weight: Tensor, bias: float, margin: float
) -> tuple[Launch, tuple[Tensor, Tensor]]:
    """Return the launch that finds losses and slopes, and what it fills."""
    prompts, tokens, channels = hidden.shape
    made = (torch.empty(prompts, device=hidden.device), torch.empty(prompts, device=hidden.device))
    tensors = {"hidden": hidden, "last": last, "sides": sides, "weight": weight}
    numbers = {"tokens": tokens, "channels": channels, "bias": float(bias), "margin": float(margin)}
    return Launch(
        loss_kernel,
        prompts,
        {**tensors, "losses": made[0], "slopes": made[1], **numbers},
        {"CHANNELS": min(CHANNELS, power_of_two(max(channels, 1)))},
        WARPS,
    ), made


def gradient_launch(slopes: Tensor, last: Tensor, weight: Tensor, like: Tensor) -> tuple[Launch, Tensor]:
    """Return the launch that finds the states' gradient, and what it fills."""
    prompts, tokens, channels = like.shape
    made = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    across = min(CHANNELS // 2, power_of_two(max(channels, 1)))
    tiles = quotient(tokens, TOKENS), quotient(channels, across)
    return Launch(
        gradient_kernel,
        prompts * tiles[0] * tiles[1],
        {
            "slopes": slopes,
            "last": last,
            "weight": weight,
            "gradient": made,
            "tokens": tokens,
            "channels": channels,
            "token_tiles": tiles[0],
            "channel_tiles": tiles[1],
        },
        {"TOKENS": TOKENS, "CHANNELS": across},
        WARPS,
    ), made


def losses(
    hidden: Tensor, last: Tensor, sides: Tensor, weight: Tensor, bias: float, margin: float
) -> tuple[Tensor, Tensor]:
    """As `reference.losses`; all contiguous, on one GPU."""
    launch, made = loss_launch(hidden, last, sides, weight, bias, margin)
    launch.run()
    return made


def gradient(slopes: Tensor, last: Tensor, weight: Tensor, like: Tensor) -> Tensor:
    """As `reference.gradient`."""
    launch, made = gradient_launch(slopes, last, weight, like)
    launch.run()
    return made
