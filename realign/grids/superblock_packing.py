"""Codes and scales of ggml's block types <-> their bytes, as `ggml-quants.c` lays them out.

Within: O outputs, B blocks of a row, P groups of a block, N weights of a block.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from realign.grids.superblock_layouts import Layout
from realign.kernels.int4_packing import pack_q4_k


@dataclass(frozen=True, slots=True)
class BlockParts:
    """What a block is made of, as integers and float16.

    Shapes:
        d, dmin: float16 [O, B]; dmin is None for types without minima.
        scales, minima: int64 [O, B, P]; minima None likewise, both None where a block is one group.
        codes: int64 [O, B, N], from `Layout.code_range`.
    """

    d: Tensor
    dmin: Tensor | None
    scales: Tensor | None
    minima: Tensor | None
    codes: Tensor


def packed(layout: Layout, parts: BlockParts) -> Tensor:
    """Return the rows: uint8 [O, B * bytes of a block]."""
    if layout.name == "Q4_K":
        return _packed_q4_k(parts)
    fields = _packed_superblock(layout, parts) if layout.levels else _packed_block(layout, parts)
    blocks = torch.cat([field.to(torch.uint8) for field in fields], dim=-1)
    return blocks.reshape(len(blocks), -1)


def unpacked(layout: Layout, rows: Tensor) -> BlockParts:
    """Return what `packed` was given; rows uint8 [O, B * bytes of a block]."""
    size = _block_bytes(layout)
    blocks = rows.reshape(len(rows), -1, size).long()
    return _unpacked_superblock(layout, blocks) if layout.levels else _unpacked_block(layout, blocks)


def _packed_q4_k(parts: BlockParts) -> Tensor:
    if parts.scales is None or parts.minima is None or parts.dmin is None:
        raise ValueError("Q4_K needs scales and minima")
    codes, scales, minima = (
        each.to(torch.uint8).flatten(1) for each in (parts.codes, parts.scales, parts.minima)
    )
    steps = torch.stack([parts.d, parts.dmin], dim=-1).to(torch.float16)
    return pack_q4_k(codes, scales, minima, steps)


def _packed_superblock(layout: Layout, parts: BlockParts) -> list[Tensor]:
    codes, scales, minima = parts.codes, parts.scales, parts.minima
    d = _halves(parts.d)
    if scales is None:
        raise ValueError(f"{layout.name} needs scales")
    if layout.name == "Q6_K":
        stored = codes + 32
        return [_nibbles(stored & 15, 64), _spread(stored >> 4, 128, 2), scales & 255, d]
    if layout.name == "Q3_K":
        stored = codes + 4
        return [_spread(stored >> 2, 256, 1), _spread(stored & 3, 128, 2), _sixteen_scales(scales + 32), d]
    if minima is None or parts.dmin is None:
        raise ValueError(f"{layout.name} needs minima")
    dmin = _halves(parts.dmin)
    if layout.name == "Q2_K":
        return [scales | minima << 4, _spread(codes, 128, 2), d, dmin]
    return [d, dmin, _eight_scales(scales, minima), _spread(codes >> 4, 256, 1), _nibbles(codes & 15, 32)]


def _unpacked_superblock(layout: Layout, blocks: Tensor) -> BlockParts:
    if layout.name == "Q6_K":
        low, high, scales, d = torch.split(blocks, [128, 64, 16, 2], dim=-1)
        codes = (_from_nibbles(low, 64) | _gathered(high, 128, 2) << 4) - 32
        return BlockParts(_from_halves(d), None, (scales ^ 128) - 128, None, codes)
    if layout.name == "Q3_K":
        high, low, scales, d = torch.split(blocks, [32, 64, 12, 2], dim=-1)
        codes = (_gathered(low, 128, 2) | _gathered(high, 256, 1) << 2) - 4
        return BlockParts(_from_halves(d), None, _from_sixteen_scales(scales) - 32, None, codes)
    if layout.name == "Q2_K":
        both, low, d, dmin = torch.split(blocks, [16, 64, 2, 2], dim=-1)
        codes = _gathered(low, 128, 2)
        return BlockParts(_from_halves(d), _from_halves(dmin), both & 15, both >> 4, codes)
    sizes = [2, 2, 12, 32, 128] if layout.name == "Q5_K" else [2, 2, 12, 0, 128]
    d, dmin, both, high, low = torch.split(blocks, sizes, dim=-1)
    scales, minima = _from_eight_scales(both)
    codes = _from_nibbles(low, 32)
    if layout.name == "Q5_K":
        codes = codes | _gathered(high, 256, 1) << 4
    return BlockParts(_from_halves(d), _from_halves(dmin), scales, minima, codes)


def _packed_block(layout: Layout, parts: BlockParts) -> list[Tensor]:
    fields = [_halves(parts.d)]
    if parts.dmin is not None:
        fields.append(_halves(parts.dmin))
    if layout.name == "Q8_0":
        return [*fields, parts.codes & 255]
    stored = parts.codes - layout.code_range[0]
    if layout.bits == 5:
        place = torch.arange(8, device=stored.device)
        fields.append((torch.unflatten(stored >> 4, -1, (4, 8)) << place).sum(dim=-1))
    return [*fields, _nibbles(stored & 15, 16)]


def _unpacked_block(layout: Layout, blocks: Tensor) -> BlockParts:
    d, rest = _from_halves(blocks[..., :2]), blocks[..., 2:]
    dmin = None
    if layout.affine:
        dmin, rest = _from_halves(rest[..., :2]), rest[..., 2:]
    if layout.name == "Q8_0":
        return BlockParts(d, dmin, None, None, (rest ^ 128) - 128)
    codes = _from_nibbles(rest[..., -16:], 16)
    if layout.bits == 5:
        place = torch.arange(8, device=blocks.device)
        codes = codes | ((rest[..., :4, None] >> place) & 1).flatten(-2) << 4
    return BlockParts(d, dmin, None, None, codes + layout.code_range[0])


def _block_bytes(layout: Layout) -> int:
    if layout.levels:
        halves = 2 if layout.affine else 1
        scale_bytes = 12 if layout.name in ("Q3_K", "Q4_K", "Q5_K") else 16
        return layout.block * layout.bits // 8 + scale_bytes + 2 * halves
    return layout.block * layout.bits // 8 + (4 if layout.affine else 2)


def _nibbles(codes: Tensor, run: int) -> Tensor:
    """Two runs of codes share a run of bytes: the first in the low halves, the second in the high ones."""
    pairs = torch.unflatten(codes, -1, (-1, 2, run))
    return (pairs[..., 0, :] | pairs[..., 1, :] << 4).flatten(-2)


def _from_nibbles(values: Tensor, run: int) -> Tensor:
    by_run = torch.unflatten(values, -1, (-1, 1, run))
    return torch.cat([by_run & 15, by_run >> 4], dim=-2).flatten(-3)


def _spread(codes: Tensor, stretch: int, bits: int) -> Tensor:
    """Of each stretch, codes that are 32 apart share a byte, the first in its lowest bits."""
    place = torch.arange(stretch // 32, device=codes.device)[:, None] * bits
    return (torch.unflatten(codes, -1, (-1, stretch // 32, 32)) << place).sum(dim=-2).flatten(-2)


def _gathered(values: Tensor, stretch: int, bits: int) -> Tensor:
    place = torch.arange(stretch // 32, device=values.device)[:, None] * bits
    return ((torch.unflatten(values, -1, (-1, 1, 32)) >> place) & ((1 << bits) - 1)).flatten(-3)


def _eight_scales(scales: Tensor, minima: Tensor) -> Tensor:
    # 6 bits each in 12 bytes: four whole with the high bits of the other four above them, twice; the low
    # halves of the other four together
    first, last = (torch.stack([scales[..., at], minima[..., at]]) for at in (slice(4), slice(4, 8)))
    whole = first | (last >> 4) << 6
    return torch.cat([whole[0], whole[1], (last[0] & 15) | (last[1] & 15) << 4], dim=-1)


def _from_eight_scales(values: Tensor) -> tuple[Tensor, Tensor]:
    scales, minima, low = torch.split(values, 4, dim=-1)
    return (
        torch.cat([scales & 63, (low & 15) | (scales >> 6) << 4], dim=-1),
        torch.cat([minima & 63, (low >> 4) | (minima >> 6) << 4], dim=-1),
    )


def _sixteen_scales(scales: Tensor) -> Tensor:
    # 6 bits each in 12 bytes: low halves of eight with those of the other eight above, then the high bits
    place = torch.arange(4, device=scales.device)[:, None] * 2
    high = (torch.unflatten(scales >> 4, -1, (4, 4)) << place).sum(dim=-2)
    return torch.cat([_nibbles(scales & 15, 8), high], dim=-1)


def _from_sixteen_scales(values: Tensor) -> Tensor:
    low, high = torch.split(values, [8, 4], dim=-1)
    place = torch.arange(4, device=values.device)[:, None] * 2
    return _from_nibbles(low, 8) | ((high[..., None, :] >> place) & 3).flatten(-2) << 4


def _halves(values: Tensor) -> Tensor:
    bits = values.to(torch.float16).view(torch.int16).long()
    return torch.stack([bits & 255, (bits >> 8) & 255], dim=-1)


def _from_halves(values: Tensor) -> Tensor:
    bits = values[..., 0] | values[..., 1] << 8
    return ((bits ^ 0x8000) - 0x8000).to(torch.int16).view(torch.float16)
