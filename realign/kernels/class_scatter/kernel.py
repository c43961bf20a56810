"""Class means and scatter in Triton: states are read once.

A program goes down some rows of a strip of channels, a tile at a time, and merges the tile's means and
scatter of both classes into its own. A second kernel merges the programs' results in their order, so that a
result does not depend on which program was first.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from realign.kernels.launching import Launch, architecture_of, quotient

ROWS, CHANNELS = 16, 64
WARPS = 4
# programs that keep a GPU of the generation busy: four for each of its multiprocessors
BUSY = {80: 432, 89: 568, 90: 528, 100: 592}
MERGED_CHANNELS = 128


@triton.jit
def _merged(count, mean, around, more, other_mean, other_around):
    share = tl.div_rn(more, tl.maximum(count + more, 1.0))
    gap = other_mean - mean
    return count + more, mean + gap * share, around + other_around + gap * gap * share * count


@triton.jit
def _tile(states, mask, chosen):
    member = mask & chosen[:, None]
    more = tl.sum(tl.where(chosen, 1.0, 0.0), axis=0)
    # one division for all channels
    mean = tl.sum(tl.where(member, states, 0.0), axis=0) * tl.div_rn(1.0, tl.maximum(more, 1.0))
    apart = tl.where(member, states - mean[None, :], 0.0)
    return more, mean, tl.sum(apart * apart, axis=0)


@triton.jit
def partial_kernel(
    hidden, labels, counts, means, scatter, rows, channels, strips, rows_each,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Counts [P, 2], means and scatter [P, 2, D] of P runs of rows."""
    program = tl.program_id(0).to(tl.int64)
    part = program // strips
    channel = (program % strips) * CHANNELS + tl.arange(0, CHANNELS)
    known = channel < channels
    end = tl.minimum((part + 1) * rows_each, rows)
    count0 = tl.full((), 0.0, tl.float32)
    count1 = tl.full((), 0.0, tl.float32)
    mean0 = tl.full((CHANNELS,), 0.0, tl.float32)
    mean1 = tl.full((CHANNELS,), 0.0, tl.float32)
    around0 = tl.full((CHANNELS,), 0.0, tl.float32)
    around1 = tl.full((CHANNELS,), 0.0, tl.float32)
    for first in range(part * rows_each, end, ROWS):
        row = first + tl.arange(0, ROWS)
        there = row < end
        mask = there[:, None] & known[None, :]
        states = tl.load(hidden + row[:, None] * channels + channel[None, :], mask=mask, other=0.0).to(
            tl.float32
        )
        label = tl.load(labels + row, mask=there, other=2)
        more, mean, around = _tile(states, mask, label == 0)
        count0, mean0, around0 = _merged(count0, mean0, around0, more, mean, around)
        more, mean, around = _tile(states, mask, label == 1)
        count1, mean1, around1 = _merged(count1, mean1, around1, more, mean, around)
    at = part * 2 * channels + channel
    tl.store(means + at, mean0, mask=known)
    tl.store(means + at + channels, mean1, mask=known)
    tl.store(scatter + at, around0, mask=known)
    tl.store(scatter + at + channels, around1, mask=known)
    if program % strips == 0:
        tl.store(counts + part * 2, count0.to(tl.int64))
        tl.store(counts + part * 2 + 1, count1.to(tl.int64))


@triton.jit
def merge_kernel(
    counts, means, scatter, part_counts, part_means, part_scatter, new_counts, new_means, new_scatter,
    parts, channels, strips, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Merge the runs into what was there before: one class and strip of channels a program."""
    program = tl.program_id(0).to(tl.int64)
    label = program // strips
    channel = (program % strips) * CHANNELS + tl.arange(0, CHANNELS)
    known = channel < channels
    at = label * channels + channel
    total = tl.load(counts + label)
    count = total.to(tl.float32)
    mean = tl.load(means + at, mask=known, other=0.0)
    around = tl.load(scatter + at, mask=known, other=0.0)
    place = at
    for part in range(0, parts):
        more = tl.load(part_counts + part * 2 + label)
        total += more
        other = tl.load(part_means + place, mask=known, other=0.0)
        other_around = tl.load(part_scatter + place, mask=known, other=0.0)
        count, mean, around = _merged(count, mean, around, more.to(tl.float32), other, other_around)
        # float32 would lose count of what int64 counts
        count = total.to(tl.float32)
        place += 2 * channels
    tl.store(new_means + at, mean, mask=known)
    tl.store(new_scatter + at, around, mask=known)
    if program % strips == 0:
        tl.store(new_counts + label, total)


class State(NamedTuple):
    """Counts int64 [2] (or [P, 2]), means and scatter float32 [2, D] (or [P, 2, D])."""

    counts: Tensor
    means: Tensor
    scatter: Tensor


def launches(before: State, hidden: Tensor, labels: Tensor) -> tuple[tuple[Launch, Launch], State]:
    """Return the two launches, to be run in their order, and what the second fills."""
    rows, channels = hidden.shape
    strips = quotient(channels, CHANNELS)
    rows_each = _rows_each(rows, strips, architecture_of(hidden))
    parts = quotient(rows, rows_each)
    device = hidden.device
    between = _empty(device, parts, channels)
    after = State(*(each[0] for each in _empty(device, 1, channels)))
    first = Launch(
        partial_kernel,
        parts * strips,
        {
            "hidden": hidden,
            "labels": labels,
            **between._asdict(),
            "rows": rows,
            "channels": channels,
            "strips": strips,
            "rows_each": rows_each,
        },
        {"ROWS": ROWS, "CHANNELS": CHANNELS},
        WARPS,
    )
    merge_strips = quotient(channels, MERGED_CHANNELS)
    second = Launch(
        merge_kernel,
        2 * merge_strips,
        {
            **before._asdict(),
            **{f"part_{name}": tensor for name, tensor in between._asdict().items()},
            **{f"new_{name}": tensor for name, tensor in after._asdict().items()},
            "parts": parts,
            "channels": channels,
            "strips": merge_strips,
        },
        {"CHANNELS": MERGED_CHANNELS},
        1,
    )
    return (first, second), after


def updated(counts: Tensor, means: Tensor, scatter: Tensor, hidden: Tensor, labels: Tensor) -> State:
    """As `reference.updated`; all contiguous, on one GPU."""
    steps, after = launches(State(counts, means, scatter), hidden, labels)
    for launch in steps:
        launch.run()
    return after


def _rows_each(rows: int, strips: int, architecture: int) -> int:
    busy = BUSY[max(known for known in BUSY if known <= max(architecture, min(BUSY)))]
    return max(1, quotient(rows, ROWS * quotient(busy, max(strips, 1)))) * ROWS


def _empty(device: torch.device, parts: int, channels: int) -> State:
    return State(
        torch.empty(parts, 2, dtype=torch.int64, device=device),
        torch.empty(parts, 2, channels, device=device),
        torch.empty(parts, 2, channels, device=device),
    )
