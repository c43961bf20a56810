"""Q-resafe for weights on a grid: the safety-critical weights are patched until refusals are back.

After Q-resafe (arXiv 2506.20251), with these differences: the patch is rounded with the weights it is
added to, so that the result is an ordinary checkpoint of the format; preferences come from greedy
replies to the calibration prompts alone; and what the parent says to benign prompts and writes unasked
is held by a divergence, so that neither over-refusal nor quality pays for the refusals.

Steps: the preferences, then rounds of training. Masks are scored anew at the beginning of each round.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qaudit.errors import InputError
from realign.decoder_blocks import STAGES, blocks_of, module_name
from realign.greedy_replies import greedy_replies, own_texts
from realign.grids.grid import Encoded
from realign.job import Job, Solution, Step
from realign.solvers.patch_training import PatchTraining, QresafeOptions
from realign.solvers.patched_linear import PatchedLinear, patched, rounded_once
from realign.solvers.preference_data import PreferenceData, base_log_probabilities, stored_data
from realign.solvers.range_search import best_ranges
from realign.solvers.settled import HIGH, LOW


class QresafeSolver:
    """Patches the parent's weights on the job's grids.

    Args:
        options: how.
    """

    def __init__(self, options: QresafeOptions | None = None) -> None:
        self.options = options or QresafeOptions()

    def count(self, job: Job) -> int:
        """Return the number of rounds and one: the preferences come first."""
        del job
        return self.options.rounds + 1

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Yield the preferences and the rounds that are not done yet.

        Raises:
            InputError: the parent is of an unknown family or does not fit the grids, or prompts of one
                kind are missing.
        """
        if not job.prompts.malicious or not job.prompts.benign:
            raise InputError("qresafe needs malicious and benign calibration prompts; give both")
        if not done:
            started = time.monotonic()
            first = self._first(job)
            done = [Step("preferences", first, {}, time.monotonic() - started)]
            yield done[0]
        layers = _layers(job, done[0].tensors, self.options)
        training = PatchTraining(job, layers, stored_data(done[0].tensors), self.options)
        if len(done) > 1:
            training.optimizer.load(done[-1].tensors)
        for number in range(len(done), self.options.rounds + 1):
            started = time.monotonic()
            with _in_place(job, layers, done[0].tensors):
                losses = training.round(number)
            name = f"round {number} of {self.options.rounds}"
            yield Step(name, training.optimizer.tensors(), losses, time.monotonic() - started)

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return the patched layers, and what else has a grid rounded as it is."""
        first = steps[0].tensors
        layers = _layers(job, first, self.options)
        with torch.no_grad():
            for name, layer in layers.items():
                for part, value in layer.parts.items():
                    value.copy_(steps[-1].tensors[f"value:{name}:{part}"])
        encoded: dict[str, Encoded] = {}
        changed = total = 0
        for name, grid in job.grids.items():
            weight = job.parent.get_submodule(name).weight.detach()
            ranges = _ranges(first, name, weight.device)
            if name not in layers:
                encoded[name] = grid.encode(weight, *ranges)
                continue
            encoded[name] = layers[name].encoded()
            changed += int((encoded[name].weight() != grid.fake(weight, *ranges)).sum())
            total += weight.numel()
        data = stored_data(first)
        figures = {
            "pairs": len(data.prompts),
            "differing_pairs": data.differing,
            "changed_weights": changed / max(1, total),
        }
        return Solution(encoded, {}, figures)

    @torch.no_grad()
    def _first(self, job: Job) -> dict[str, Tensor]:
        """Return ranges, replies, texts and how likely the replies are before anything is changed."""
        options = self.options
        tensors: dict[str, Tensor] = {}
        for name, grid in job.grids.items():
            weight = job.parent.get_submodule(name).weight
            tensors[LOW + name], tensors[HIGH + name] = best_ranges(weight, grid)
        prompts, benign = job.prompts.malicious, job.prompts.benign
        answers = greedy_replies(job.parent, benign, job.end_tokens, options.longest)
        # what every rendered prompt begins with, so what a text may begin with
        texts = own_texts(
            job.parent,
            prompts[0][:1],
            job.end_tokens,
            count=options.texts,
            longest=options.longest_text,
            seed=job.seed,
        )
        preferred = greedy_replies(job.reference, prompts, job.end_tokens, options.longest)
        layers = _layers(job, tensors, options)
        with _in_place(job, layers, tensors), rounded_once(layers):
            rejected = greedy_replies(job.parent, prompts, job.end_tokens, options.longest)
            base = [base_log_probabilities(job.parent, prompts, each) for each in (preferred, rejected)]
        data = PreferenceData(prompts, preferred, rejected, benign, answers, texts, torch.stack(base))
        return {**tensors, **data.tensors()}


def _layers(job: Job, first: Mapping[str, Tensor], options: QresafeOptions) -> dict[str, PatchedLinear]:
    """Return patched layers for the linear layers of the blocks that have a grid, patches still zero."""
    draw = torch.Generator().manual_seed(job.seed)
    names = [
        module_name(number, name)
        for number in range(len(blocks_of(job.parent)))
        for stage in STAGES
        for name in stage.linears
    ]
    layers = {}
    for name in names:
        if name in job.grids:
            layer: Any = job.parent.get_submodule(name)
            if not isinstance(layer, nn.Linear):
                raise InputError(f"{name} is a {type(layer).__name__}, not a plain linear layer; give floats")
            ranges = _ranges(first, name, layer.weight.device)
            layers[name] = PatchedLinear(
                layer, job.grids[name], ranges, options.shape, draw, options.input_bits
            )
    if not layers:
        raise InputError("no linear layer of a decoder block is to be quantized; nothing can be patched")
    return layers


def _ranges(first: Mapping[str, Tensor], name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    return first[LOW + name].to(device), first[HIGH + name].to(device)


@contextmanager
def _in_place(job: Job, layers: Mapping[str, PatchedLinear], first: Mapping[str, Tensor]) -> Iterator[None]:
    """Let the parent run on the grid for a while: patched where it can be, else rounded."""
    held: list[tuple[Tensor, Tensor]] = []
    with ExitStack() as stack, torch.no_grad():
        for parameter in (*job.parent.parameters(), *job.reference.parameters()):
            parameter.requires_grad_(False)
        for name, grid in job.grids.items():
            if name not in layers:
                weight = job.parent.get_submodule(name).weight
                held.append((weight, weight.clone()))
                weight.copy_(grid.fake(weight, *_ranges(first, name, weight.device)))
        stack.enter_context(patched(job.parent, layers))
        try:
            with torch.enable_grad():
                yield
        finally:
            for weight, before in held:
                weight.copy_(before)
