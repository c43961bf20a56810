"""ggml's block types as grids: ranges are rounded twice, as the file will hold them, then the weights.

In a k-quant a group's scale and minimum are small integers (4 to 8 bits) times a float16 of the whole
superblock. llama.cpp's quantizer chooses them by a search of its own, which would erase learned ranges;
here they follow from the ranges alone, and `encode` packs exactly what `fake` returned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.grids.straight_through import in_place_of, nearest_codes, on_points
from realign.grids.superblock_layouts import Layout, layout_of
from realign.grids.superblock_packing import BlockParts, packed, unpacked
from realign.superblock_linear import SuperblockLinear

LARGEST = 65504.0  # of float16
ROWS_AT_ONCE = 1 << 22  # weights; integers of a chunk take many times the bytes of its weights


@dataclass(frozen=True, slots=True)
class SuperblockGrid:
    """The grid of a ggml type.

    Attributes:
        ggml_type: ggml's name: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0.
        tries: how many float16 scales are tried for a superblock, from the one that makes its largest
            group's integer the largest there is; the one with the least squared error is taken.
    """

    ggml_type: str
    tries: int = 8

    def __post_init__(self) -> None:
        layout_of(self.ggml_type)

    @property
    def _layout(self) -> Layout:
        return layout_of(self.ggml_type)

    @property
    def bits(self) -> int:
        """Bits of a code, without scales."""
        return self._layout.bits

    @property
    def group_size(self) -> int:
        """Inputs that share a range."""
        return self._layout.group

    def groups_of(self, inputs: int) -> int:
        """Return how many ranges a row of inputs has.

        Raises:
            InputError: they are not whole blocks.
        """
        layout = self._layout
        if inputs < 1 or inputs % layout.block:
            raise InputError(f"{inputs} inputs are not whole {self.ggml_type} blocks of {layout.block}")
        return inputs // layout.group

    def fake(self, weight: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the weights rounded to the grid; see `Grid.fake`.

        With minima (Q2_K, Q4_K, Q5_K) `low` and `high` are the first and the last point of a group.
        With signed codes they lie at most half a step outside the points.
        """
        by_group = weight.reshape(len(weight), self.groups_of(weight.shape[1]), -1)
        scales, minima, _ = self._fit(low, high)
        return on_points(by_group, *self._points(scales, minima)).reshape(weight.shape)

    @torch.no_grad()
    def encode(self, weight: Tensor, low: Tensor, high: Tensor) -> SuperblockLinear:
        """Return the rows of a GGUF; their `weight()` is bit for bit what `fake` returns."""
        layout = self._layout
        self.groups_of(weight.shape[1])
        step = max(1, ROWS_AT_ONCE // weight.shape[1])
        rows = []
        for start in range(0, len(weight), step):
            part = slice(start, start + step)
            scales, minima, parts = self._fit(low[part], high[part])
            by_group = weight[part].reshape(*scales.shape, -1)
            codes = nearest_codes(by_group, *self._points(scales, minima)).int()
            blocks = codes.reshape(len(codes), -1, layout.block)
            rows.append(packed(layout, BlockParts(parts.d, parts.dmin, parts.scales, parts.minima, blocks)))
        return SuperblockLinear(self.ggml_type, weight.shape[1], torch.cat(rows))

    def ranges_of(self, linear: SuperblockLinear) -> tuple[Tensor, Tensor]:
        """Return the ranges that rows in this type have: where training may start from.

        Shapes:
            low and high, float32 [O, G].

        Raises:
            InputError: rows of another type.
        """
        if linear.ggml_type != self.ggml_type:
            raise InputError(f"rows of {linear.ggml_type} have no ranges of {self.ggml_type}")
        layout = self._layout
        parts = unpacked(layout, linear.rows)
        scales = _spread_over_groups(parts.d, parts.scales)
        smallest, largest = layout.code_range
        if layout.affine:
            low = _spread_over_groups(parts.dmin, parts.minima)
            low = low if layout.ends == "free affine" else -low
            return low, low + largest * scales
        slack = 0.0 if layout.ends == "mirrored" else 0.5
        ends = torch.stack([scales * (smallest - slack), scales * (largest + slack)])
        return ends.amin(dim=0), ends.amax(dim=0)

    def _points(self, scales: Tensor, minima: Tensor | None) -> tuple[Tensor, Tensor | None, int, int]:
        """Return what says where the points of every group are."""
        return scales[..., None], None if minima is None else minima[..., None], *self._layout.code_range

    def _fit(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor | None, BlockParts]:
        """Return each group's scale and minimum as stored, with gradients, and what stores them."""
        layout = self._layout
        smallest, largest = layout.code_range
        by_block = (len(low), -1, layout.groups)
        if layout.affine:
            if layout.ends == "affine":
                low = low.clamp(max=0)
            high = torch.maximum(high, low)
            meant, minima = (high - low) / largest, -low
        else:
            meant, minima = _signed_scales(low.clamp(max=0), high.clamp(min=0), smallest, largest), None
        if not layout.levels:
            d = _stored(meant)
            dmin = None if minima is None else _stored(-minima)
            parts = BlockParts(d, dmin, None, None, d)
            lowered = None if minima is None or dmin is None else in_place_of(minima, -dmin.float())
            return in_place_of(meant, d.float()), lowered, parts
        d, integers = self._of_superblock(meant.reshape(by_block), signed=not layout.affine)
        dmin = lower_integers = lowered = None
        if minima is not None:
            dmin, lower_integers = self._of_superblock(minima.reshape(by_block), signed=False)
            lowered = in_place_of(minima, _spread_over_groups(dmin, lower_integers))
        scales = in_place_of(meant, _spread_over_groups(d, integers))
        return scales, lowered, BlockParts(d, dmin, integers, lower_integers, integers)

    @torch.no_grad()
    def _of_superblock(self, values: Tensor, *, signed: bool) -> tuple[Tensor, Tensor]:
        """Return float16 [O, B] and integers [O, B, P] whose product is near values [O, B, P]."""
        levels = self._layout.levels
        # signed integers reach one further below zero: the extreme value goes there
        ends = (-levels, levels - 1) if signed else (0, levels)
        extreme = values.gather(-1, values.abs().argmax(dim=-1, keepdim=True))
        targets = torch.arange(levels, levels - self.tries, -1, device=values.device)
        d = _stored(extreme / (-targets if signed else targets))  # [O, B, tries]
        spread = d.float()[..., None]
        integers = (values[..., None, :] / torch.where(spread == 0, torch.inf, spread)).round().clamp(*ends)
        errors = (integers * spread - values[..., None, :]).square().sum(dim=-1)
        best = errors.argmin(dim=-1, keepdim=True)
        chosen = integers.gather(-2, best[..., None].expand(*best.shape, integers.shape[-1]))
        return d.gather(-1, best).squeeze(-1), chosen.squeeze(-2).int()


def _signed_scales(low: Tensor, high: Tensor, smallest: int, largest: int) -> Tensor:
    """Return the scales, of either sign, with the least step whose points cover the ranges."""
    if smallest == -largest:
        return torch.maximum(-low, high) / largest
    below, above = 0.5 - smallest, 0.5 + largest
    upright = torch.maximum(-low / below, high / above)
    turned = torch.maximum(high / below, -low / above)
    return torch.where(upright <= turned, upright, -turned)


def _stored(values: Tensor) -> Tensor:
    return values.detach().clamp(-LARGEST, LARGEST).half()


def _spread_over_groups(of_block: Tensor | None, integers: Tensor | None) -> Tensor:
    """Return float32 [O, G]: the product, or the block's own value where it is one group."""
    if of_block is None:
        raise InputError("a block without the float16 that its type has")
    if integers is None:
        return of_block.float()
    return (of_block.float()[..., None] * integers).flatten(1)
