"""Calibration prompts on their way through three models at once, block by block.

The parent and the reference say what a block should write, on benign and on malicious prompts; the
rounded blocks so far say what the next one is given.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from realign.activation_stream import ModelBlocks, first_calls, token_batches
from realign.calibration_activations import Call, module_calls, outputs, with_hidden
from realign.decoder_blocks import STAGES
from realign.job import Job
from realign.kernels.w4a16_matmul import PackedWeight
from realign.objective import Objective
from realign.solvers.layer_training import LayerBatch
from realign.solvers.packed_layers import computed_packed
from realign.solvers.rounded_block import written_by

PAD = 0  # masked wherever it stands


class BlockChain:
    """All calibration prompts, in front of a block.

    Args:
        job: parent, reference and prompts.
        objective: how much each class of prompts counts.
        embeddings: the rounded embedding matrix, if it is rounded.
        rows: prompts a batch.
        device: where blocks run; each is lent there while it is its turn.

    Attributes:
        number: of the block.
    """

    def __init__(
        self, job: Job, objective: Objective, embeddings: Tensor | None, *, rows: int, device: torch.device
    ) -> None:
        self.number = 0
        self._device = device
        self._lent: nn.Module | None = None
        self._parent, self._reference = ModelBlocks(job.parent), ModelBlocks(job.reference)
        self._batches = token_batches([*job.prompts.malicious, *job.prompts.benign], rows=rows, pad=PAD)
        of_prompt = torch.arange(sum(len(batch.rows) for batch in self._batches)) < len(job.prompts.malicious)
        self._malicious = [of_prompt[list(batch.rows)] for batch in self._batches]
        weights = objective.row_weights(of_prompt)
        self._weights = [weights[list(batch.rows)] for batch in self._batches]
        # the same object where both say the same: a chain is run once then
        self._parent_calls = first_calls(job.parent, self._batches)
        self._parents = _hidden(self._parent_calls)
        self._references = self._parents
        self._reference_calls = self._parent_calls
        if not same_weights(job.parent, job.reference):
            self._reference_calls = first_calls(job.reference, self._batches)
            self._references = _hidden(self._reference_calls)
        self._rounded = self._parents
        if embeddings is not None:
            with replaced(job.parent.get_input_embeddings(), embeddings):
                self._rounded = _hidden(first_calls(job.parent, self._batches))

    @contextmanager
    def block(self) -> Iterator[nn.Module]:
        """Lend the parent's block on the device; whoever asks while it is lent is given the same."""
        if self._lent is not None:
            yield self._lent
            return
        with self._parent.lent(self.number, self._device) as block:
            self._lent = block
            try:
                yield block
            finally:
                self._lent = None

    def layer_batches(self) -> list[LayerBatch]:
        """Return what goes into the rounded block, and what it should write."""
        with self.block() as block:
            parents = outputs(block, self._calls(self._parent_calls, self._parents))
        references = parents
        if self._references is not self._parents:
            with self._reference.lent(self.number, self._device) as block:
                references = outputs(block, self._calls(self._reference_calls, self._references))
        given = self._calls(self._parent_calls, self._rounded)
        batches = []
        for place, batch in enumerate(self._batches):
            malicious = self._malicious[place].to(self._device)
            meant = torch.where(malicious[:, None, None], references[place], parents[place])
            batches.append(
                LayerBatch(
                    given[place].hidden,
                    meant,
                    given[place].arguments,
                    batch.mask.to(self._device),
                    malicious,
                    self._weights[place].to(self._device),
                )
            )
        self._parents, self._references = parents, references
        return batches

    def importance(self, block: nn.Module, batches: Sequence[LayerBatch]) -> dict[str, Tensor]:
        """Return the mean of x^2 over own tokens of what each linear layer of a block is given."""
        calls = [Call(batch.hidden, dict(batch.arguments)) for batch in batches]
        seen = module_calls(block, calls, [stage.linears[0] for stage in STAGES])
        masks = [batch.mask for batch in batches]
        return {
            name: _mean_square(seen[stage.linears[0]], masks) for stage in STAGES for name in stage.linears
        }

    def advance(
        self,
        parameters: Mapping[str, Tensor],
        batches: Sequence[LayerBatch],
        input_bits: int | None = None,
        packed: Mapping[str, PackedWeight] | None = None,
    ) -> None:
        """Go behind the block, which has been left with these parameters.

        Args:
            parameters: by name within the block; the others are the parent's.
            batches: what `layer_batches` returned.
            input_bits: of what linear layers are given; None for floats.
            packed: matrices that are computed from their codes, by module.
        """
        calls = [Call(batch.hidden, dict(batch.arguments)) for batch in batches]
        with self.block() as block, computed_packed(block, packed or {}):
            self._rounded = written_by(block, parameters, calls, input_bits)
        self.number += 1

    def _calls(self, calls: Sequence[Sequence[Call]], hidden: Sequence[Tensor]) -> list[Call]:
        here = with_hidden([of_batch[self.number] for of_batch in calls], hidden)
        return [call.on(self._device) for call in here]


@contextmanager
def replaced(module: nn.Module, weight: Tensor) -> Iterator[None]:
    """Give a module other weights for a while."""
    parameter = module.get_parameter("weight")
    own = parameter.data
    parameter.data = weight.to(own)
    try:
        yield
    finally:
        parameter.data = own


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Tell whether two models have equal parameters."""
    first, second = dict(one.named_parameters()), dict(other.named_parameters())
    return first.keys() == second.keys() and all(
        value.shape == second[name].shape and torch.equal(value, second[name].to(value.device))
        for name, value in first.items()
    )


def _hidden(calls: Sequence[Sequence[Call]]) -> list[Tensor]:
    return [of_batch[0].hidden for of_batch in calls]


def _mean_square(calls: Sequence[Call], masks: Sequence[Tensor]) -> Tensor:
    total = torch.stack(
        [call.hidden[mask].float().square().sum(dim=0) for call, mask in zip(calls, masks, strict=True)]
    )
    return total.sum(dim=0) / sum(int(mask.sum()) for mask in masks)
