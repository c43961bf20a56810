"""Histograms of codes in Triton: a piece of a row a program, counted in shared memory.

Each program writes its own counts and they are summed afterwards: no program waits for another.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from realign.kernels.launching import Launch, quotient

BYTES = 2048
# a program counts this many tiles: the shorter rows are, the more programs there are of one row each
TILES = 8
WARPS = 4


@triton.jit
def histogram_kernel(
    stored, counts, length, pieces,
    BITS: tl.constexpr, TOGETHER: tl.constexpr, BYTES: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Counts int32 [R * pieces, 2^BITS] of bytes [R, length]."""
    program = tl.program_id(0).to(tl.int64)
    row = stored + program // pieces * length
    first = program % pieces * (BYTES * TILES)
    end = tl.minimum(first + BYTES * TILES, length)
    total = tl.full((1 << BITS,), 0, tl.int32)
    for tile in range(first, end, BYTES):
        byte = tile + tl.arange(0, BYTES)
        there = byte < end
        values = tl.load(row + byte, mask=there, other=0).to(tl.int32)
        for place in tl.static_range(TOGETHER):
            code = (values >> (place * (8 // TOGETHER))) & ((1 << BITS) - 1)
            total += tl.histogram(code, 1 << BITS)
    # bytes beyond the end were counted as zeros
    bins = tl.arange(0, 1 << BITS)
    beyond = (BYTES - (end - first) % BYTES) % BYTES * TOGETHER
    total -= tl.where(bins == 0, beyond.to(tl.int32), 0)
    tl.store(counts + program * (1 << BITS) + bins, total)


def histogram_launch(stored: Tensor, bits: int, together: int) -> tuple[Launch, Tensor]:
    """Return the launch that counts, and what it fills: int32 [R, pieces, 2^bits]."""
    rows, length = stored.shape
    pieces = max(1, quotient(length, BYTES * TILES))
    counts = torch.empty(rows, pieces, 1 << bits, dtype=torch.int32, device=stored.device)
    return Launch(
        histogram_kernel,
        rows * pieces,
        {"stored": stored, "counts": counts, "length": length, "pieces": pieces},
        {"BITS": bits, "TOGETHER": together, "BYTES": BYTES, "TILES": TILES},
        WARPS,
    ), counts


def histogram(stored: Tensor, bits: int, together: int) -> Tensor:
    """As `reference.histogram`; contiguous, on a GPU."""
    launch, counts = histogram_launch(stored, bits, together)
    launch.run()
    return counts.sum(dim=1, dtype=torch.int64)
