"""Rounding in ranges searched for the inputs that occur: no training, any grid.

Block by block: what reaches a matrix, through the blocks that are rounded already, says how much each of
its inputs counts (the importance matrix of llama.cpp); each group's range is drawn in where that lowers
the weighted error. Then the weights are rounded so that they make up for each other's errors.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from realign.activation_stream import unpadded
from realign.calibration_activations import (
    Call,
    calls_into_blocks,
    gram,
    module_calls,
    outputs,
    with_hidden,
)
from realign.decoder_blocks import STAGES, blocks_of, linear, module_name
from realign.grids.grid import Grid
from realign.job import Job, Solution, Step
from realign.solvers.compensated_rounding import compensated
from realign.solvers.range_search import best_ranges
from realign.solvers.settled import Settled, settled_by

BLOCKS, HEAD = "model.layers.", "lm_head"


class SearchedRounding:
    """Rounds the parent as it is; a step is a block.

    Args:
        compensate: whether weights make up for each other's errors (GPTQ); else each goes to its nearest
            point.
    """

    def __init__(self, *, compensate: bool = True) -> None:
        self.compensate = compensate

    def count(self, job: Job) -> int:
        """Return the number of blocks, and one more where embeddings or the output matrix are rounded."""
        return len(blocks_of(job.parent)) + bool(outside_blocks(job))

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Round what is not done yet; the parent is left with rounded weights.

        Raises:
            InputError: the parent is of an unknown family, or a matrix does not fit its grid.
        """
        batches = unpadded((*job.prompts.malicious, *job.prompts.benign))
        outside = outside_blocks(job)
        if outside and done:
            _apply(job.parent, done[0], outside)
        elif outside:
            started = time.monotonic()
            tensors = _round_outside(job.parent, batches, outside, self.compensate)
            yield Step("embeddings", tensors, {}, time.monotonic() - started)
        done = done[bool(outside) :]
        calls = calls_into_blocks(job.parent, batches)
        hidden = [call.hidden for call in calls[0]]
        for number, block in enumerate(blocks_of(job.parent)):
            into = with_hidden(calls[number], hidden)
            calls[number] = []
            grids = _grids_of(job.grids, number, block)
            if number < len(done):
                _apply(job.parent, done[number], {module_name(number, name): g for name, g in grids.items()})
                hidden = outputs(block, into)
                continue
            started = time.monotonic()
            meant = outputs(block, into)
            tensors = _round_block(block, number, into, grids, self.compensate)
            hidden = outputs(block, into)
            yield Step(
                f"layer {number}",
                tensors,
                {"reconstruction.after": mean_squared_error(hidden, meant)},
                time.monotonic() - started,
            )

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return every matrix on its grid."""
        matrices = settled_by(steps).matrices
        return Solution({module: job.grids[module].encode(*parts) for module, parts in matrices.items()}, {})


def mean_squared_error(got: Sequence[Tensor], meant: Sequence[Tensor]) -> float:
    """Return the mean over all entries of all batches."""
    total = sum(float((g - m).square().sum(dtype=torch.float64)) for g, m in zip(got, meant, strict=True))
    return total / sum(m.numel() for m in meant)


@torch.no_grad()
def _round_block(
    block: nn.Module, number: int, calls: Sequence[Call], grids: Mapping[str, Grid], compensate: bool
) -> dict[str, Tensor]:
    matrices: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    for stage in STAGES:
        names = [name for name in stage.linears if name in grids]
        if not names:
            continue
        hessian = gram(module_calls(block, calls, names[:1])[names[0]])
        for name in names:
            layer, module = linear(block, name), module_name(number, name)
            weight = layer.weight.detach().clone()
            low, high = best_ranges(weight, grids[name], hessian.diagonal())
            if compensate:
                weight = compensated(weight, grids[name], low, high, hessian)
            layer.weight.copy_(grids[name].fake(weight, low, high))
            matrices[module] = weight, low, high
    return Settled(matrices, {}).tensors()


@torch.no_grad()
def _round_outside(
    model: Any,  # noqa: ANN401 - transformers is untyped
    batches: Sequence[Tensor],
    grids: Mapping[str, Grid],
    compensate: bool,
) -> dict[str, Tensor]:
    """Round embeddings and the output matrix, whose inputs say how much each channel counts."""
    hessian = _output_gram(model, batches)
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    if tied:
        # what is embedded with the same matrix counts too, each channel like the others
        hessian.diagonal().add_(hessian.diagonal().mean())
    matrices: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    for module, grid in grids.items():
        layer = model.get_submodule(module)
        weight = layer.weight.detach().clone()
        read = tied or module == HEAD
        low, high = best_ranges(weight, grid, hessian.diagonal() if read else None)
        if read and compensate:
            weight = compensated(weight, grid, low, high, hessian)
        layer.weight.copy_(grid.fake(weight, low, high))
        matrices[module] = weight, low, high
    return Settled(matrices, {}).tensors()


def _output_gram(model: Any, batches: Sequence[Tensor]) -> Tensor:  # noqa: ANN401
    """Return the mean of x x^T of what the output matrix reads, over all tokens: float32 [D, D]."""
    hidden = [model.model(b.to(model.device), use_cache=False).last_hidden_state for b in batches]
    return gram([Call(states, {}) for states in hidden])


@torch.no_grad()
def _apply(model: Any, step: Step, grids: Mapping[str, Grid]) -> None:  # noqa: ANN401
    matrices = settled_by([step]).matrices
    for module, grid in grids.items():
        own = model.get_submodule(module).weight
        # rounded where they were rounded before: another device may divide otherwise in the last bit
        weight, low, high = (part.to(own.device) for part in matrices[module])
        own.copy_(grid.fake(weight, low, high))


def outside_blocks(job: Job) -> dict[str, Grid]:
    """Return the grids of matrices that are in no block: embeddings, the output matrix."""
    return {module: grid for module, grid in job.grids.items() if not module.startswith(BLOCKS)}


def _grids_of(grids: Mapping[str, Grid], number: int, block: nn.Module) -> dict[str, Grid]:
    """Return the grids of one block's matrices by their names in it, in the order in which they run."""
    names = [name for stage in STAGES for name in stage.linears]
    found = {name: grids[module_name(number, name)] for name in names if module_name(number, name) in grids}
    for name in found:
        linear(block, name)
    return found
