"""AWQ (Lin et al., arXiv 2306.00978): the search for channel scales and clipped ranges, on the CPU or a GPU.

Channels whose inputs are large are multiplied by s before rounding and what writes them is divided by
s, so that their weights lose less; s = mean|x|^a, or mean|x|^a / mean|w|^(1-a), over a grid of a in
[0, 1), that with the least error of the module that reads them. The ends of each group's range are
then drawn in where that lowers the error. Errors are against the float block, whose inputs come from
float blocks too: as in the authors' own code, a block is not told of the rounding before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from realign.calibration_activations import Call, gram, mean_size, module_calls, outputs
from realign.decoder_blocks import QUERY_KEY, STAGES, Stage, foldable, linear
from realign.grids.group_grid import GroupGrid
from realign.quantized_linear import QuantizedLinear

SMALLEST_SIZE = 1e-4


@dataclass(frozen=True, slots=True)
class AwqOptions:
    """How far the search goes.

    Attributes:
        group_size: inputs that share a scale and a zero.
        exponents: points of the grid of a, from 0.
        shrinks: how many ranges are tried for a group, each a twentieth shorter than the one before.
        bits: of a code; the format has 4.
    """

    group_size: int = 128
    exponents: int = 20
    shrinks: int = 10
    bits: int = 4

    @property
    def grid(self) -> GroupGrid:
        """The grid of the codes, with a zero for each group."""
        return GroupGrid(self.bits, self.group_size, symmetric=False)


@torch.no_grad()
def search_block(block: nn.Module, calls: Sequence[Call], options: AwqOptions) -> dict[str, QuantizedLinear]:
    """Quantize a block's linear layers; the block is left with the weights that a reader will decode.

    Norms, and linear layers that write what others read, are divided by the scales found.

    Args:
        block: float32; changed in place.
        calls: what goes into it on calibration prompts.
        options: how far to search.

    Raises:
        InputError: sizes are not whole groups, or the block has other parts than known ones.
    """
    wanted = {name for stage in STAGES for name in (stage.judged, stage.linears[0])}
    seen = module_calls(block, calls, sorted(wanted))
    grams = {stage: gram(seen[stage.linears[0]]) for stage in STAGES}
    for stage in STAGES:
        if not foldable(block, stage):
            continue
        judge = _Judge(block, stage, seen[stage.judged], grams[stage])
        scales = _best_scales(block, stage, seen[stage.linears[0]], judge, options)
        _fold(block, stage, scales)
        # what is written now is smaller by the scales
        grams[stage] = grams[stage] / torch.outer(scales, scales)
        for call in seen[stage.linears[0]]:
            call.hidden.div_(scales)
    return {
        name: _quantized(block, name, grams[stage], options) for stage in STAGES for name in stage.linears
    }


class _Judge:
    """The error of a module when its linear layers have other weights."""

    def __init__(self, block: nn.Module, stage: Stage, calls: Sequence[Call], second_moment: Tensor) -> None:
        self._module = block.get_submodule(stage.judged)
        self._layers = [linear(block, name) for name in stage.linears]
        self._weights = [layer.weight.clone() for layer in self._layers]
        self._calls = calls
        self._gram = second_moment
        self._alone = stage.judged in stage.linears
        self._meant = [] if self._alone else outputs(self._module, calls)

    def error(self, weights: Sequence[Tensor]) -> float:
        """Return the mean squared error of the module's output."""
        if self._alone:
            off = weights[0] - self._weights[0]
            return float(((off @ self._gram) * off).sum() / len(off))
        for layer, weight in zip(self._layers, weights, strict=True):
            layer.weight.copy_(weight)
        got = outputs(self._module, self._calls)
        for layer, weight in zip(self._layers, self._weights, strict=True):
            layer.weight.copy_(weight)
        off_by = sum(float((g - m).square().sum()) for g, m in zip(got, self._meant, strict=True))
        return off_by / sum(m.numel() for m in self._meant)


def _best_scales(
    block: nn.Module, stage: Stage, calls: Sequence[Call], judge: _Judge, options: AwqOptions
) -> Tensor:
    weights = [linear(block, name).weight.clone() for name in stage.linears]
    best, least = torch.ones_like(weights[0][0]), float("inf")
    for scales in _candidates(mean_size(calls), weights, options):
        rounded = [_rounded(weight * scales, options.grid) / scales for weight in weights]
        error = judge.error(rounded)
        if error < least:
            best, least = scales, error
    return best


def _candidates(size: Tensor, weights: Sequence[Tensor], options: AwqOptions) -> Iterator[Tensor]:
    # how large a channel's weights are within their groups, over all outputs that read it
    stacked = torch.cat(list(weights)).abs()
    by_group = stacked.reshape(len(stacked), options.grid.groups_of(stacked.shape[1]), -1)
    relative = by_group / by_group.amax(dim=-1, keepdim=True).clamp(min=1e-9)
    weight_size = relative.reshape(stacked.shape).mean(dim=0).clamp(min=SMALLEST_SIZE)
    size = size.clamp(min=SMALLEST_SIZE)
    for point in range(options.exponents):
        share = point / options.exponents
        for scales in (size**share, size**share / weight_size ** (1 - share)):
            # sizes around 1, so that neither weights nor norms leave float16
            yield scales / (scales.max() * scales.min()).sqrt()


def _fold(block: nn.Module, stage: Stage, scales: Tensor) -> None:
    for name in stage.linears:
        linear(block, name).weight.mul_(scales)
    writer = block.get_submodule(stage.writer)
    if isinstance(writer, nn.Linear):
        writer.weight.div_(scales[:, None])
    else:
        next(writer.parameters()).div_(scales)
    bias = getattr(writer, "bias", None)
    if isinstance(bias, Tensor):
        bias.div_(scales)


def _rounded(weight: Tensor, grid: GroupGrid) -> Tensor:
    by_group = _by_group(weight, grid)
    scales, zeros = grid.fit(by_group.amin(dim=-1, keepdim=True), by_group.amax(dim=-1, keepdim=True))
    return grid.rounded(by_group, scales, zeros).reshape(weight.shape)


def _by_group(weight: Tensor, grid: GroupGrid) -> Tensor:
    return weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)


def _quantized(block: nn.Module, name: str, second_moment: Tensor, options: AwqOptions) -> QuantizedLinear:
    layer, grid = linear(block, name), options.grid
    by_group = _by_group(layer.weight, grid)
    low, high = by_group.amin(dim=-1, keepdim=True), by_group.amax(dim=-1, keepdim=True)
    # errors of queries and keys multiply: a range that serves either alone does not serve both
    shrinks = 1 if name in QUERY_KEY else options.shrinks
    scales, zeros = _clipped(by_group, low, high, second_moment, grid, shrinks)
    result = QuantizedLinear(
        bits=grid.bits,
        symmetric=False,
        codes=grid.codes(by_group, scales, zeros).reshape(layer.weight.shape).to(torch.uint8),
        zeros=zeros.squeeze(-1).to(torch.uint8),
        scales=scales.squeeze(-1).half(),
        group_of=torch.arange(layer.in_features, device=scales.device) // by_group.shape[-1],
    )
    layer.weight.copy_(result.weight())
    return result


def _clipped(
    by_group: Tensor, low: Tensor, high: Tensor, second_moment: Tensor, grid: GroupGrid, shrinks: int
) -> tuple[Tensor, Tensor]:
    """Return the scales and zeros [O, G, 1] of the ranges with the least error, group by group."""
    groups, size = by_group.shape[1:]
    # the inputs of one group among themselves: [G, size, size]
    places = torch.arange(groups * size, device=by_group.device).reshape(groups, size)
    blocks = second_moment[places[:, :, None], places[:, None, :]]
    best_scales, best_zeros = grid.fit(low, high)
    least = torch.full_like(low, float("inf"))
    for number in range(shrinks):
        factor = 1 - number / 20
        scales, zeros = grid.fit(low * factor, high * factor)
        off = grid.rounded(by_group, scales, zeros) - by_group
        error = (torch.einsum("ogi,gij->ogj", off, blocks) * off).sum(dim=-1, keepdim=True)
        better = error < least
        best_scales = torch.where(better, scales, best_scales)
        best_zeros = torch.where(better, zeros, best_zeros)
        least = torch.where(better, error, least)
    return best_scales, best_zeros
