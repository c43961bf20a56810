"""Q-realign: post-training quantization that also keeps malicious and benign prompts apart.

Block by block, where ranges end, scales folded into norms and which way weights are rounded are learned
on the parent's outputs (benign prompts), the reference's (malicious prompts) and the reference's frozen
probes; then ranges, norms and, in models that fit, weights are trained end to end on what the teachers
say next. After Q-realign (arXiv 2601.08089), OmniQuant (2308.13137) and EfficientQAT (2407.11062).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from realign.decoder_blocks import blocks_of, module_name
from realign.greedy_replies import greedy_replies, own_texts
from realign.grids.grid import Grid
from realign.job import Job, Solution, Step, scaled_steps
from realign.kernels.launching import runs_on
from realign.objective import Objective
from realign.reply_rows import packed, unpacked
from realign.separation_probes import Line, fit_probes
from realign.solvers.block_chain import BlockChain
from realign.solvers.end_to_end import RoundedModel, Span, mean_divergence, train_round
from realign.solvers.layer_training import LayerBatch, Rates, mean_losses, train_layer
from realign.solvers.packed_layers import packed_weights
from realign.solvers.rounded_block import RoundedBlock
from realign.solvers.rounded_matrix import RoundedMatrix
from realign.solvers.settled import Settled, settled_by
from realign.solvers.taught_rows import TaughtKind, TaughtRows, rows_of, texts_of

OUTER, REPLIES = "embeddings", "replies"
BLOCKS = "model.layers."
EMBEDDINGS = "model.embed_tokens"
CPU = torch.device("cpu")
KINDS: tuple[TaughtKind, ...] = ("malicious", "benign", "texts")


@dataclass(frozen=True, slots=True)
class QRealignOptions:
    """How a model is quantized.

    Attributes:
        objective: weights of the terms.
        transform: whether scales between norms and linear layers are learned.
        layer_rates: learning rates within a block.
        early_epochs: over the calibration prompts, for blocks of the first half.
        late_epochs: for those of the second half.
        rows: prompts of a step.
        rounds: of training end to end; 0 for none. Each is a step that can be gone on from.
        round_steps: optimiser steps of a round.
        round_rates: learning rates end to end.
        whole_weights: most weights of a model whose weights are trained end to end; in a larger one
            only ranges and norms are.
        texts: how many texts of the parent's own hold its language in place.
        text_length: their tokens.
        longest_reply: tokens after which a reply is cut.
        input_bits: to which runtimes round the inputs of linear layers (w8a8: 8); None for none.
    """

    objective: Objective = field(default_factory=Objective)
    transform: bool = True
    layer_rates: Rates = field(default_factory=Rates)
    early_epochs: int = 2
    late_epochs: int = 6
    rows: int = 16
    rounds: int = 3
    round_steps: int = 100
    round_rates: Rates = field(default_factory=Rates)
    whole_weights: int = 500_000_000
    texts: int = 256
    text_length: int = 64
    longest_reply: int = 48
    input_bits: int | None = None

    def scaled(self, effort: float) -> "QRealignOptions":
        """Return the same with so many times the epochs and steps, at least one of each kind there is."""
        return replace(
            self,
            early_epochs=scaled_steps(self.early_epochs, effort),
            late_epochs=scaled_steps(self.late_epochs, effort),
            round_steps=scaled_steps(self.round_steps, effort),
        )


class QRealignSolver:
    """Learns the rounding of a whole model; a step is a block, or a round of training end to end.

    Block by block one decoder layer at a time is on the job's device, and the models may lie on the CPU.
    Training end to end needs both there whole.

    Args:
        options: how.
    """

    by_blocks = True

    def __init__(self, options: QRealignOptions | None = None) -> None:
        self.options = options or QRealignOptions()

    def count(self, job: Job) -> int:
        """Return the number of steps: embeddings, blocks, replies, rounds."""
        layers = len(blocks_of(job.parent))
        return bool(_outer(job)) + layers + (1 + self.options.rounds if self.options.rounds else 0)

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Take the steps that are not done yet.

        Raises:
            InputError: the parent is of an unknown family, does not fit the grids, or there are too few
                calibration prompts.
        """
        # only what is learned here has gradients
        job.parent.requires_grad_(False)
        job.reference.requires_grad_(False)
        steps = list(done)
        if not steps and _outer(job):
            steps.append(self._round_outer(job))
            yield steps[-1]
        before = bool(_outer(job)) + len(blocks_of(job.parent))
        if len(steps) < before:
            for step in self._layers(job, tuple(steps)):
                if self.options.rounds:
                    # nothing else needs them: they are as large as the model
                    steps.append(step)
                yield step
        if not self.options.rounds:
            return
        with job.whole():
            if len(steps) == before:
                steps.append(self._ask(job))
                yield steps[-1]
            for step in self._rounds(job, tuple(steps), before):
                steps.append(step)
                yield step

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return all matrices on their grids, and the norms and biases that were changed."""
        settled = settled_by(steps)
        encoded = settled.encoded(job.grids, job.place)
        losses = {step.name: dict(step.losses) for step in steps if step.losses}
        return Solution(encoded, dict(settled.floats), {"losses": losses})

    def _round_outer(self, job: Job) -> Step:
        """Round what lies outside the blocks by ranges of least error; rounds train it further."""
        started = time.monotonic()
        matrices = {
            name: RoundedMatrix.searched(
                job.parent.get_submodule(name).weight.to(job.place), job.grids[name]
            ).settled()
            for name in _outer(job)
        }
        return Step(OUTER, Settled(matrices, {}).on(CPU).tensors(), {}, time.monotonic() - started)

    def _layers(self, job: Job, steps: Sequence[Step]) -> Iterator[Step]:
        options, first = self.options, bool(_outer(job))
        outer = settled_by(steps[:first]).matrices.get(EMBEDDINGS)
        embeddings = None if outer is None else job.grids[EMBEDDINGS].fake(*outer)
        probes = self._probes(job)
        chain = BlockChain(job, options.objective, embeddings, rows=options.rows, device=job.place)
        layers = len(blocks_of(job.parent))
        for number in range(layers):
            started = time.monotonic()
            prefix = module_name(number, "")
            if number < len(steps) - first:
                self._passed(job, chain, number, settled_by([steps[first + number]]).within(prefix))
                continue
            settled, losses = self._learned(job, chain, number, probes[number] if probes else None)
            yield Step(
                f"layer {number}", settled.placed(prefix).tensors(), losses, time.monotonic() - started
            )

    def _passed(self, job: Job, chain: BlockChain, number: int, settled: Settled) -> None:
        """Go behind a block that was learned before."""
        self._advance(job, chain, number, settled, chain.layer_batches())

    def _learned(
        self, job: Job, chain: BlockChain, number: int, probe: Line | None
    ) -> tuple[Settled, dict[str, float]]:
        """Learn the block that the chain is in front of and go behind it; nothing stays on the device."""
        options = self.options
        epochs = options.early_epochs if number < len(blocks_of(job.parent)) / 2 else options.late_epochs
        batches = chain.layer_batches()
        with chain.block() as block:
            rounded = RoundedBlock(
                block,
                _grids_of_block(job, number),
                chain.importance(block, batches),
                transform=options.transform,
                input_bits=options.input_bits,
            )
            losses = _named(mean_losses(rounded, batches, options.objective, probe), "before")
            seed = job.seed * 1000 + number
            train_layer(rounded, batches, options.objective, probe, options.layer_rates, epochs, seed)
            losses |= _named(mean_losses(rounded, batches, options.objective, probe), "after")
            settled = rounded.settled()
            self._advance(job, chain, number, settled, batches)
        return settled.on(CPU), losses

    def _advance(
        self, job: Job, chain: BlockChain, number: int, settled: Settled, batches: Sequence[LayerBatch]
    ) -> None:
        grids, settled = _grids_of_block(job, number), settled.on(job.place)
        codes = packed_weights(settled, grids) if runs_on(batches[0].hidden) else {}
        chain.advance(settled.without(codes).parameters(grids), batches, self.options.input_bits, codes)

    def _probes(self, job: Job) -> Sequence[Line]:
        if not self.options.objective.separation:
            return ()
        return fit_probes(job.reference, job.prompts, seed=job.seed, device=job.place)

    def _ask(self, job: Job) -> Step:
        """Ask the teachers for replies and texts, once."""
        started, options = time.monotonic(), self.options
        longest = options.longest_reply
        tensors: dict[str, Tensor] = {}
        rows = {
            "malicious": greedy_replies(job.reference, job.prompts.malicious, job.end_tokens, longest),
            "benign": greedy_replies(job.parent, job.prompts.benign, job.end_tokens, longest),
            "texts": own_texts(
                job.parent,
                # what every prompt begins with begins a text too
                job.prompts.benign[0][:1],
                job.end_tokens,
                count=options.texts,
                longest=options.text_length,
                seed=job.seed,
            ),
        }
        for name, tokens in rows.items():
            tensors[f"{name}.tokens"], tensors[f"{name}.lengths"] = packed(tokens)
        return Step(REPLIES, tensors, {}, time.monotonic() - started)

    def _rounds(self, job: Job, steps: Sequence[Step], before: int) -> Iterator[Step]:
        options = self.options
        batches = self._taught(job, steps[before])
        teachers: dict[TaughtKind, Any] = {
            "malicious": job.reference,
            "benign": job.parent,
            "texts": job.parent,
        }
        done = len(steps) - before - 1
        settled = settled_by([*steps[:before], *steps[before + 1 :]]).on(job.place)
        weights = sum(parts[0].numel() for parts in settled.matrices.values()) <= options.whole_weights
        total = options.rounds * options.round_steps
        for number in range(done, options.rounds):
            started = time.monotonic()
            rounded = RoundedModel(job.parent, job.grids, settled, options.input_bits)
            losses = {}
            if number == 0:
                found = mean_divergence(rounded, batches, teachers)
                losses = {f"{name}.before": value for name, value in found.items()}
            train_round(
                rounded,
                batches,
                teachers,
                options.objective,
                options.round_rates,
                Span(number * options.round_steps, options.round_steps, total),
                weights=weights,
                seed=job.seed * 1000 + 500 + number,
            )
            settled = rounded.settled()
            found = mean_divergence(rounded, batches, teachers)
            losses |= {f"{name}.after": value for name, value in found.items()}
            name = f"round {number + 1} of {options.rounds}"
            yield Step(name, settled.on(CPU).tensors(), losses, time.monotonic() - started)

    def _taught(self, job: Job, replies: Step) -> dict[TaughtKind, list[TaughtRows]]:
        rows = {
            kind: unpacked(replies.tensors[f"{kind}.tokens"], replies.tensors[f"{kind}.lengths"])
            for kind in KINDS
        }
        at_once, device = self.options.rows, job.parent.device
        return {
            "malicious": rows_of("malicious", job.prompts.malicious, rows["malicious"], at_once, device),
            "benign": rows_of("benign", job.prompts.benign, rows["benign"], at_once, device),
            "texts": texts_of(rows["texts"], at_once, device),
        }


def _named(losses: Mapping[str, float], when: str) -> dict[str, float]:
    return {f"{name}.{when}": value for name, value in losses.items()}


def _outer(job: Job) -> list[str]:
    """Return the matrices to be rounded that are not in a block, a tied one once."""
    names: list[str] = []
    for name in sorted(name for name in job.grids if not name.startswith(BLOCKS)):
        weight = job.parent.get_submodule(name).weight
        if not any(job.parent.get_submodule(other).weight is weight for other in names):
            names.append(name)
    return sorted(names)


def _grids_of_block(job: Job, number: int) -> dict[str, Grid]:
    prefix = module_name(number, "")
    return {name.removeprefix(prefix): grid for name, grid in job.grids.items() if name.startswith(prefix)}
