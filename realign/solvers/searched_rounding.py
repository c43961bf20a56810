"""Rounding in ranges searched for the inputs that occur: no training, any grid.

What occurs are prompts with their replies, and texts that the parent writes. Block by block: a matrix is
changed to make up for a share of what the rounding before it did to its inputs (Arai and Ichikawa, QEP,
arXiv 2504.09629); what reaches it says how much each of its inputs counts (the importance matrix of
llama.cpp), and each group's range is drawn in where that lowers the weighted error. Then the weights are
rounded so that they make up for each other's errors.
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
from realign.greedy_replies import Tokens, greedy_replies, own_texts
from realign.grids.grid import Grid
from realign.job import Job, Solution, Step
from realign.reply_rows import packed, unpacked
from realign.solvers.compensated_rounding import compensated
from realign.solvers.range_search import best_ranges
from realign.solvers.settled import Settled, settled_by

BLOCKS, HEAD = "model.layers.", "lm_head"
ROWS, LENGTHS = "rows.tokens", "rows.lengths"
# of the error carried over; more follows the calibration rows closer than others bear
CARRIED, DAMPENING = 0.5, 0.01


class SearchedRounding:
    """Rounds the parent as it is; a step is a block. The first asks the models for replies and texts.

    Args:
        compensate: whether weights make up for each other's errors (GPTQ); else each goes to its nearest
            point.
        carried: share of the error that reaches a matrix from those before which it makes up for, 0 to 1.
        texts: how many the parent writes.
        longest: tokens of a reply or a text.
    """

    def __init__(
        self, *, compensate: bool = True, carried: float = CARRIED, texts: int = 256, longest: int = 64
    ) -> None:
        self.compensate = compensate
        self.carried = carried
        self.texts = texts
        self.longest = longest

    def count(self, job: Job) -> int:
        """Return the number of blocks and one, and one more where embeddings or outputs are rounded."""
        return 1 + len(blocks_of(job.parent)) + bool(outside_blocks(job))

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Round what is not done yet; the parent is left with rounded weights.

        Raises:
            InputError: the parent is of an unknown family, or a matrix does not fit its grid.
        """
        if not done:
            done = [self._asked(job)]
            yield done[0]
        batches = unpadded(unpacked(done[0].tensors[ROWS], done[0].tensors[LENGTHS]))
        done = done[1:]
        # what goes through the blocks as they were
        floats = [call.hidden for call in calls_into_blocks(job.parent, batches)[0]]
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
            into, meant_into = (with_hidden(calls[number], states) for states in (hidden, floats))
            calls[number] = []
            grids = _grids_of(job.grids, number, block)
            started = time.monotonic()
            floats = outputs(block, meant_into)
            if number < len(done):
                _apply(job.parent, done[number], {module_name(number, name): g for name, g in grids.items()})
                hidden = outputs(block, into)
                continue
            tensors = self._round_block(block, number, into, meant_into, grids)
            hidden = outputs(block, into)
            yield Step(
                f"layer {number}",
                tensors,
                {"reconstruction.after": mean_squared_error(hidden, floats)},
                time.monotonic() - started,
            )

    def _asked(self, job: Job) -> Step:
        """Return prompts with replies, the reference's to malicious ones, and texts."""
        started, prompts = time.monotonic(), job.prompts
        rows: list[Tokens] = []
        for model, asked in ((job.reference, prompts.malicious), (job.parent, prompts.benign)):
            if asked:
                replies = greedy_replies(model, asked, job.end_tokens, self.longest)
                rows += [(*prompt, *reply) for prompt, reply in zip(asked, replies, strict=True)]
        opening = next(iter(rows), ())[:1]
        if opening:
            rows += own_texts(
                job.parent, opening, job.end_tokens, count=self.texts, longest=self.longest, seed=job.seed
            )
        tokens, lengths = packed(rows)
        return Step("replies", {ROWS: tokens, LENGTHS: lengths}, {}, time.monotonic() - started)

    @torch.no_grad()
    def _round_block(
        self,
        block: nn.Module,
        number: int,
        calls: Sequence[Call],
        meant: Sequence[Call],
        grids: Mapping[str, Grid],
    ) -> dict[str, Tensor]:
        matrices: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        stages = [names for s in STAGES if (names := [name for name in s.linears if name in grids])]
        # before anything in the block is rounded
        floats = module_calls(block, meant, [names[0] for names in stages]) if self.carried else {}
        for names in stages:
            seen = module_calls(block, calls, names[:1])[names[0]]
            hessian = gram(seen)
            making_up = (
                self.carried * carried_error(floats.pop(names[0]), seen, hessian) if self.carried else None
            )
            for name in names:
                layer, module = linear(block, name), module_name(number, name)
                weight = layer.weight.detach().clone()
                if making_up is not None:
                    weight += weight @ making_up
                low, high = best_ranges(weight, grids[name], hessian.diagonal())
                if self.compensate:
                    weight = compensated(weight, grids[name], low, high, hessian)
                layer.weight.copy_(grids[name].fake(weight, low, high))
                matrices[module] = weight, low, high
        return Settled(matrices, {}).tensors()

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return every matrix on its grid."""
        matrices = settled_by(steps[1:]).matrices
        return Solution({module: job.grids[module].encode(*parts) for module, parts in matrices.items()}, {})


def mean_squared_error(got: Sequence[Tensor], meant: Sequence[Tensor]) -> float:
    """Return the mean over all entries of all batches."""
    total = sum(float((g - m).square().sum(dtype=torch.float64)) for g, m in zip(got, meant, strict=True))
    return total / sum(m.numel() for m in meant)


@torch.no_grad()
def carried_error(meant: Sequence[Call], seen: Sequence[Call], hessian: Tensor) -> Tensor:
    """Return D [I, I] for which x (1 + D)^T is nearest to what the inputs were: W x is nearest for W (1 + D).

    The least squares of x' - x over x: D = E[(x' - x) x^T] E[x x^T]^-1, a hundredth of the mean of the
    diagonal added.

    Args:
        meant: inputs x' before anything was rounded.
        seen: inputs x now, of the same tokens.
        hessian: mean of x x^T, float32 [I, I].
    """
    total, tokens = torch.zeros_like(hessian, dtype=torch.float64), 0
    for one, other in zip(meant, seen, strict=True):
        was, now = (call.hidden.reshape(-1, call.hidden.shape[-1]).float() for call in (one, other))
        total += ((was - now).T @ now).double()
        tokens += len(now)
    damped = hessian.to(torch.float64, copy=True)
    damped.diagonal().add_(DAMPENING * damped.diagonal().mean())
    found: Tensor = torch.linalg.solve(damped, total / tokens, left=False)
    return found.float()


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
