"""Packing and unpacking of codes of four bits in Triton: every byte is read once and written once."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from realign.kernels.int4_packing.reference import BLOCK_BYTES, SUBBLOCKS, SUPERBLOCK, TOGETHER
from realign.kernels.launching import Launch, power_of_two, quotient

WARPS = 4
# a tile is turned over on its way: this many words along either side
SIDE = 32
INPUTS = 128
SUPERBLOCKS = 16


@triton.jit
def awq_kernel(
    codes, words, inputs, across, tiles, PACK: tl.constexpr, WORDS: tl.constexpr, INPUTS: tl.constexpr
):
    """Codes uint8 [8 * across, inputs] to or from words int32 [inputs, across]."""
    program = tl.program_id(0).to(tl.int64)
    column = (program % tiles) * INPUTS + tl.arange(0, INPUTS)
    word = (program // tiles) * WORDS + tl.arange(0, WORDS)
    mask = (word < across)[:, None] & (column < inputs)[None, :]
    turned = column[:, None] * across + word[None, :]
    turned_mask = (column < inputs)[:, None] & (word < across)[None, :]
    if PACK:
        values = tl.full((WORDS, INPUTS), 0, tl.int32)
    else:
        values = tl.trans(tl.load(words + turned, mask=turned_mask, other=0))
    for nibble in tl.static_range(8):
        # the nibbles hold outputs 0 2 4 6 1 3 5 7
        output = word * 8 + (nibble % 4) * 2 + nibble // 4
        at = codes + output[:, None] * inputs + column[None, :]
        if PACK:
            code = tl.load(at, mask=mask, other=0).to(tl.int32)
            values |= (code & 15) << (4 * nibble)
        else:
            tl.store(at, ((values >> (4 * nibble)) & 15).to(tl.uint8), mask=mask)
    if PACK:
        tl.store(words + turned, tl.trans(values), mask=turned_mask)


@triton.jit
def gptq_kernel(octets, words, outputs, down, tiles, PACK: tl.constexpr, SIDE: tl.constexpr):
    """Eight codes in an int64, [outputs, down], to or from words int32 [down, outputs]."""
    program = tl.program_id(0).to(tl.int64)
    word = (program % tiles) * SIDE + tl.arange(0, SIDE)
    output = (program // tiles) * SIDE + tl.arange(0, SIDE)
    at = octets + output[:, None] * down + word[None, :]
    mask = (output < outputs)[:, None] & (word < down)[None, :]
    turned = words + word[:, None] * outputs + output[None, :]
    turned_mask = (word < down)[:, None] & (output < outputs)[None, :]
    if PACK:
        octet = tl.load(at, mask=mask, other=0)
        values = tl.full((SIDE, SIDE), 0, tl.int32)
        for code in tl.static_range(8):
            values |= ((octet >> (8 * code)) & 15).to(tl.int32) << (4 * code)
        tl.store(turned, tl.trans(values), mask=turned_mask)
    else:
        values = tl.trans(tl.load(turned, mask=turned_mask, other=0)).to(tl.int64)
        octet = tl.full((SIDE, SIDE), 0, tl.int64)
        for code in tl.static_range(8):
            octet |= ((values >> (4 * code)) & 15) << (8 * code)
        tl.store(at, octet, mask=mask)


@triton.jit
def q4_k_kernel(codes, scales, minima, steps, blocks, count, PACK: tl.constexpr, SUPERBLOCKS: tl.constexpr):
    """Superblocks [count, 144] from or to codes [count, 256], scales and minima [count, 8], d and dmin."""
    block = tl.program_id(0).to(tl.int64) * SUPERBLOCKS + tl.arange(0, SUPERBLOCKS)
    known = (block < count)[:, None]
    row = blocks + block[:, None] * 144
    four = tl.arange(0, 4)[None, :]
    byte = tl.arange(0, 128)[None, :]
    low = codes + block[:, None] * 256 + byte // 32 * 64 + byte % 32
    scale = scales + block[:, None] * 8 + four
    minimum = minima + block[:, None] * 8 + four
    step = steps + block[:, None] * 4 + four
    if PACK:
        tl.store(row + four, tl.load(step, mask=known, other=0), mask=known)
        nibbles = (tl.load(low, mask=known, other=0) & 15) | (
            tl.load(low + 32, mask=known, other=0) & 15
        ) << 4
        tl.store(row + 16 + byte, nibbles, mask=known)
        scale0 = tl.load(scale, mask=known, other=0) & 63
        scale1 = tl.load(scale + 4, mask=known, other=0) & 63
        minimum0 = tl.load(minimum, mask=known, other=0) & 63
        minimum1 = tl.load(minimum + 4, mask=known, other=0) & 63
        tl.store(row + 4 + four, scale0 | (scale1 >> 4) << 6, mask=known)
        tl.store(row + 8 + four, minimum0 | (minimum1 >> 4) << 6, mask=known)
        tl.store(row + 12 + four, (scale1 & 15) | (minimum1 & 15) << 4, mask=known)
    else:
        tl.store(step, tl.load(row + four, mask=known, other=0), mask=known)
        nibbles = tl.load(row + 16 + byte, mask=known, other=0)
        tl.store(low, nibbles & 15, mask=known)
        tl.store(low + 32, nibbles >> 4, mask=known)
        first = tl.load(row + 4 + four, mask=known, other=0)
        second = tl.load(row + 8 + four, mask=known, other=0)
        rest = tl.load(row + 12 + four, mask=known, other=0)
        tl.store(scale, first & 63, mask=known)
        tl.store(scale + 4, (rest & 15) | (first >> 6) << 4, mask=known)
        tl.store(minimum, second & 63, mask=known)
        tl.store(minimum + 4, (rest >> 4) | (second >> 6) << 4, mask=known)


def awq_launch(codes: Tensor, words: Tensor, *, pack: bool) -> Launch:
    """Return the launch between codes uint8 [O, N] and words int32 [N, O/8]."""
    inputs, across = words.shape
    columns, rows = min(INPUTS, power_of_two(max(inputs, 1))), min(SIDE, power_of_two(max(across, 1)))
    tiles = quotient(inputs, columns)
    return Launch(
        awq_kernel,
        tiles * quotient(across, rows),
        {"codes": codes, "words": words, "inputs": inputs, "across": across, "tiles": tiles},
        {"PACK": pack, "WORDS": rows, "INPUTS": columns},
        WARPS,
    )


def gptq_launch(codes: Tensor, words: Tensor, *, pack: bool) -> Launch:
    """Return the launch between codes uint8 [O, I] and words int32 [I/8, O]."""
    down, outputs = words.shape
    tiles = quotient(down, SIDE)
    return Launch(
        gptq_kernel,
        tiles * quotient(outputs, SIDE),
        {"octets": codes.view(torch.int64), "words": words, "outputs": outputs, "down": down, "tiles": tiles},
        {"PACK": pack, "SIDE": SIDE},
        WARPS,
    )


def q4_k_launch(
    codes: Tensor, scales: Tensor, minima: Tensor, steps: Tensor, blocks: Tensor, *, pack: bool
) -> Launch:
    """Return the launch between superblocks and their parts, as in `reference.packed_q4_k`."""
    count = codes.numel() // SUPERBLOCK
    parts = {"codes": codes, "scales": scales, "minima": minima, "steps": steps.view(torch.uint8)}
    return Launch(
        q4_k_kernel,
        quotient(count, SUPERBLOCKS),
        {**parts, "blocks": blocks, "count": count},
        {"PACK": pack, "SUPERBLOCKS": SUPERBLOCKS},
        WARPS,
    )


def packed_awq(codes: Tensor) -> Tensor:
    """As `reference.packed_awq`; contiguous, on a GPU."""
    outputs, inputs = codes.shape
    words = torch.empty(inputs, outputs // TOGETHER, dtype=torch.int32, device=codes.device)
    awq_launch(codes, words, pack=True).run()
    return words


def unpacked_awq(words: Tensor) -> Tensor:
    """As `reference.unpacked_awq`."""
    inputs, across = words.shape
    codes = torch.empty(across * TOGETHER, inputs, dtype=torch.uint8, device=words.device)
    awq_launch(codes, words, pack=False).run()
    return codes


def packed_gptq(codes: Tensor) -> Tensor:
    """As `reference.packed_gptq`."""
    outputs, inputs = codes.shape
    words = torch.empty(inputs // TOGETHER, outputs, dtype=torch.int32, device=codes.device)
    # eight codes are read as one number, which needs its address
    aligned = codes if codes.storage_offset() % TOGETHER == 0 else codes.clone()
    gptq_launch(aligned, words, pack=True).run()
    return words


def unpacked_gptq(words: Tensor) -> Tensor:
    """As `reference.unpacked_gptq`."""
    down, outputs = words.shape
    codes = torch.empty(outputs, down * TOGETHER, dtype=torch.uint8, device=words.device)
    gptq_launch(codes, words, pack=False).run()
    return codes


def packed_q4_k(codes: Tensor, scales: Tensor, minima: Tensor, steps: Tensor) -> Tensor:
    """As `reference.packed_q4_k`."""
    rows, inputs = codes.shape
    blocks = torch.empty(rows, inputs // SUPERBLOCK * BLOCK_BYTES, dtype=torch.uint8, device=codes.device)
    q4_k_launch(codes, scales, minima, steps, blocks, pack=True).run()
    return blocks


def unpacked_q4_k(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `reference.unpacked_q4_k`."""
    rows, count = len(blocks), blocks.shape[1] // BLOCK_BYTES
    shapes = ((rows, count * SUPERBLOCK), (rows, count * SUBBLOCKS), (rows, count * SUBBLOCKS))
    codes, scales, minima = (torch.empty(shape, dtype=torch.uint8, device=blocks.device) for shape in shapes)
    steps = torch.empty(rows, count, 2, dtype=torch.float16, device=blocks.device)
    q4_k_launch(codes, scales, minima, steps, blocks, pack=False).run()
    return codes, scales, minima, steps
