"""A product with 4-bit codes in Triton: weights go from memory to the tensor cores as codes.

Differences of codes and zeros are whole numbers of five bits, exact in every float type, so that the tensor
cores multiply them as they are; a group's scale is applied to its partial sum in float32. No weight is ever
rounded to 16 bits, and scaling costs a multiply-add for each output and group instead of one for each weight.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from realign.kernels.launching import Launch, architecture_of, power_of_two, quotient

# rows of x up to, then: rows, outputs and inputs of a tile, warps, stages
TABLE = {
    80: ((16, (16, 64, 64, 4, 3)), (64, (64, 64, 64, 4, 3)), (1 << 62, (128, 64, 32, 4, 3))),
    89: ((16, (16, 64, 64, 4, 3)), (64, (64, 64, 64, 4, 2)), (1 << 62, (128, 64, 32, 4, 2))),
    90: ((16, (16, 64, 64, 4, 3)), (64, (64, 128, 64, 4, 3)), (1 << 62, (128, 128, 64, 8, 3))),
    100: ((16, (16, 64, 64, 4, 3)), (64, (64, 128, 64, 4, 3)), (1 << 62, (128, 128, 64, 8, 3))),
}
# float32 goes through the tensor cores as three products of 19-bit parts, which takes more registers
WIDE = {
    80: ((16, (16, 64, 32, 4, 2)), (1 << 62, (64, 64, 32, 8, 2))),
    100: ((16, (16, 64, 32, 4, 2)), (1 << 62, (128, 64, 16, 8, 2))),
}
SMALLEST_INPUTS = 16  # of a tensor core's product
ROWS_TOGETHER = 8


@triton.jit
def matmul_kernel(
    x, words, zeros, scales, y, rows, outputs, inputs, size, pieces,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr,
    WHOLE: tl.constexpr, TOGETHER: tl.constexpr,
):  # fmt: skip
    """A tile of y a program; pieces of a group's `size` inputs at a time, none across two groups."""
    program = tl.program_id(0)
    # some tiles of rows go along the outputs together, so that their weights are read from the cache
    down = (rows + ROWS - 1) // ROWS
    across = (outputs + OUTPUTS - 1) // OUTPUTS
    first = program // (TOGETHER * across) * TOGETHER
    height = tl.minimum(down - first, TOGETHER)
    inside = program % (TOGETHER * across)
    row = (first + inside % height).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    output = (inside // height).to(tl.int64) * OUTPUTS + tl.arange(0, OUTPUTS)
    known_row = (row < rows)[:, None]
    known_output = (output < outputs)[None, :]
    total = tl.full((ROWS, OUTPUTS), 0.0, tl.float32)
    nibble = tl.arange(0, 8) * 4
    for piece in range(0, inputs // size * pieces):
        group = piece // pieces
        start = piece % pieces * INPUTS
        inner = start + tl.arange(0, INPUTS)
        eighth = start // 8 + tl.arange(0, INPUTS // 8)
        there = known_row
        there_too = known_output
        if not WHOLE:
            there &= (inner < size)[None, :]
            there_too &= (eighth < size // 8)[:, None]
        column = group * size + inner
        states = tl.load(x + row[:, None] * inputs + column[None, :], mask=there, other=0.0)
        down_words = (group * (size // 8) + eighth).to(tl.int64)
        word = tl.load(words + down_words[:, None] * outputs + output[None, :], mask=there_too, other=0)
        at = output + group.to(tl.int64) * outputs
        zero = tl.load(zeros + at, mask=output < outputs, other=0).to(tl.int32)
        scale = tl.load(scales + at, mask=output < outputs, other=0.0).to(tl.float32)
        # [words, 8, outputs]; what is outside a group meets a state of zero
        steps = ((word[:, None, :] >> nibble[None, :, None]) & 15) - zero[None, None, :]
        steps = tl.reshape(steps.to(x.dtype.element_ty), (INPUTS, OUTPUTS))
        total += tl.dot(states, steps, input_precision="tf32x3") * scale[None, :]
    made = y + row[:, None] * outputs + output[None, :]
    tl.store(made, total.to(y.dtype.element_ty), mask=known_row & known_output)


def matmul_launch(
    x: Tensor, words: Tensor, zeros: Tensor, scales: Tensor, *, architecture: int | None = None
) -> tuple[Launch, Tensor]:
    """Return the launch of the product, and what it fills; laid out for x's GPU, or another."""
    made = torch.empty(len(x), words.shape[1], dtype=x.dtype, device=x.device)
    (rows, inputs), (groups, outputs) = x.shape, scales.shape
    size = inputs // groups
    known = architecture_of(x) if architecture is None else architecture
    table = WIDE if x.dtype == torch.float32 else TABLE
    entries = table[max(each for each in table if each <= max(known, min(table)))]
    high, wide, deep, warps, stages = next(tile for most, tile in entries if rows <= most)
    deep = min(deep, max(SMALLEST_INPUTS, power_of_two(size)))
    return Launch(
        matmul_kernel,
        quotient(rows, high) * quotient(outputs, wide),
        {
            **{"x": x, "words": words, "zeros": zeros, "scales": scales, "y": made},
            **{"rows": rows, "outputs": outputs, "inputs": inputs, "size": size},
            "pieces": quotient(size, deep),
        },
        {
            "ROWS": high,
            "OUTPUTS": wide,
            "INPUTS": deep,
            "WHOLE": size % deep == 0,
            "TOGETHER": ROWS_TOGETHER,
        },
        warps,
        stages,
    ), made


def matmul(x: Tensor, words: Tensor, zeros: Tensor, scales: Tensor) -> Tensor:
    """As `reference.matmul`; all contiguous, on one GPU."""
    launch, made = matmul_launch(x, words, zeros, scales)
    launch.run()
    return made
