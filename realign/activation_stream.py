"""The residual stream of a model on many prompts, layer by layer, with one decoder block on the device.

A model's blocks may lie on the CPU or on disk (`Blocks`); each is lent to the device, run on every batch
and taken back before the next. Hidden states wait on the CPU. Batches may be padded on either side: the
last token is the last of a prompt's own, and positions count its own tokens alone.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from qaudit.errors import InputError
from realign.calibration_activations import ROWS_AT_ONCE, Call, outputs
from realign.decoder_blocks import blocks_of

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Prompts that go through together.

    Shapes:
        tokens int64 [B, T]; mask bool [B, T], true where a token is the prompt's own, not padding.

    Attributes:
        tokens: ids.
        mask: which of them count.
        rows: which prompts of the whole list they are.
    """

    tokens: Tensor
    mask: Tensor
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """What a decoder block wrote.

    Attributes:
        number: which block, from 0.
        hidden: the residual stream after it, a batch a tensor [B, T, D], on the CPU; padding included.
        last: the same at each prompt's last token, float32 [N, D], in the order of the prompts.
    """

    number: int
    hidden: tuple[Tensor, ...]
    last: Tensor


class Blocks(Protocol):
    """A model's decoder blocks, wherever they lie."""

    @property
    def model(self) -> Any:  # noqa: ANN401 - transformers is untyped
        """The transformers model: what stands before the blocks (embeddings, positions) is in memory."""
        ...

    def lent(self, number: int, device: torch.device) -> AbstractContextManager[nn.Module]:
        """Lend a block on a device; it is gone from there when the context ends."""
        ...


@dataclass(frozen=True, slots=True)
class ModelBlocks:
    """The blocks of a model that is in memory; the model is not changed."""

    model: Any

    @contextmanager
    def lent(self, number: int, device: torch.device) -> Iterator[nn.Module]:
        """Lend the block itself if it is on the device, else a copy."""
        block = blocks_of(self.model)[number]
        if next(block.parameters()).device == device:
            yield block
            return
        # weights go to the device as they are: the copy never holds them on this side too
        there: dict[int, Any] = {
            id(each): nn.Parameter(each.detach().to(device), requires_grad=each.requires_grad)
            for each in block.parameters()
        }
        there |= {id(each): each.to(device) for each in block.buffers()}
        yield copy.deepcopy(block, there)


def token_batches(
    prompts: Sequence[Sequence[int]], *, rows: int = ROWS_AT_ONCE, pad: int | None = None
) -> list[TokenBatch]:
    """Return prompts in batches, shortest first.

    Args:
        prompts: token ids, templates and all.
        rows: prompts a batch, at most.
        pad: a token to fill up with on the right, so that prompts of different lengths go together;
            without it only those of one length do, and there is no padding.

    Raises:
        InputError: there is no prompt, or one without tokens.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise InputError("no calibration prompts, or an empty one; give some text to calibrate on")
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    groups: list[list[int]] = []
    for row in order:
        full = not groups or len(groups[-1]) == rows
        if full or (pad is None and len(prompts[groups[-1][0]]) != len(prompts[row])):
            groups.append([])
        groups[-1].append(row)
    return [_batch(prompts, group, 0 if pad is None else pad) for group in groups]


def unpadded(prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return token ids [B, T] in batches of prompts of one length, shortest first.

    Raises:
        InputError: there is no prompt, or one without tokens.
    """
    return [batch.tokens for batch in token_batches(prompts)]


def _batch(prompts: Sequence[Sequence[int]], rows: Sequence[int], pad: int) -> TokenBatch:
    longest = max(len(prompts[row]) for row in rows)
    tokens = torch.full((len(rows), longest), pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.bool)
    for place, row in enumerate(rows):
        tokens[place, : len(prompts[row])] = torch.tensor(list(prompts[row]))
        mask[place, : len(prompts[row])] = True
    return TokenBatch(tokens, mask, tuple(rows))


def last_positions(mask: Tensor) -> Tensor:
    """Return where each row's last own token stands, wherever its padding is.

    Shapes:
        mask bool [B, T]; result int64 [B].

    Raises:
        InputError: a row is all padding.
    """
    if not mask.any(dim=-1).all():
        raise InputError("a calibration prompt is all padding; give some text to calibrate on")
    return mask.shape[-1] - 1 - mask.flip(-1).int().argmax(dim=-1)


def at_last_token(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the states at each row's last own token: [B, T, D] and [B, T] to [B, D]."""
    return hidden[torch.arange(len(hidden), device=hidden.device), last_positions(mask).to(hidden.device)]


def stream(
    blocks: Blocks | Any,  # noqa: ANN401
    batches: Sequence[TokenBatch],
    *,
    device: torch.device | str | None = None,
) -> Iterator[Layer]:
    """Yield what each decoder block writes on all batches, first to last.

    Args:
        blocks: a transformers model, or where else its blocks are.
        batches: what goes in; together they hold rows 0 .. N - 1, each once.
        device: where blocks run; the CPU if left out.

    Raises:
        InputError: a model of a family that is not known here, or rows that are missing or twice there.
    """
    source: Blocks = blocks if hasattr(blocks, "lent") else ModelBlocks(blocks)
    place = torch.device(device) if device is not None else CPU
    if sorted(row for batch in batches for row in batch.rows) != list(
        range(sum(len(b.rows) for b in batches))
    ):
        raise InputError("calibration batches leave out a prompt or hold one twice; cut them again")
    calls = first_calls(source.model, batches)
    hidden = [batch_calls[0].hidden for batch_calls in calls]
    for number in range(len(blocks_of(source.model))):
        with source.lent(number, place) as block:
            hidden = [
                outputs(block, [Call(states, batch_calls[number].arguments).on(place)])[0].to(CPU)
                for states, batch_calls in zip(hidden, calls, strict=True)
            ]
        yield Layer(number, tuple(hidden), _in_order(hidden, batches))


@torch.no_grad()
def first_calls(model: Any, batches: Sequence[TokenBatch]) -> list[list[Call]]:  # noqa: ANN401
    """Return the calls that a model makes into its blocks, by batch and block, without running any.

    Hidden states are the first block's in all of them: what else a block is given (masks, positions)
    does not depend on the blocks before.
    """
    found: list[list[Call]] = []
    with _passed_through(model, found):
        place = model.get_input_embeddings().weight.device
        for batch in batches:
            found.append([])
            own = batch.mask.to(place)
            # left padding must not move a prompt's first token from position 0
            positions = (own.long().cumsum(dim=-1) - 1).clamp(min=0)
            model.model(
                input_ids=batch.tokens.to(place),
                attention_mask=own.long(),
                position_ids=positions,
                use_cache=False,
            )
    return found


@contextmanager
def _passed_through(model: Any, found: list[list[Call]]) -> Iterator[None]:  # noqa: ANN401
    """Make the blocks note what they are called with, and return what they are given; so the last norm."""

    def noted(hidden_states: Tensor, **named: Any) -> Tensor:  # noqa: ANN401
        found[-1].append(Call(hidden_states.to(CPU), named))
        return hidden_states

    def passed(hidden_states: Tensor) -> Tensor:
        return hidden_states

    changed: list[nn.Module] = [*blocks_of(model), model.model.norm]
    for module in changed:
        # on the object, before the class's own
        module.forward = passed if module is changed[-1] else noted
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _in_order(hidden: Sequence[Tensor], batches: Sequence[TokenBatch]) -> Tensor:
    count = sum(len(batch.rows) for batch in batches)
    last = torch.empty((count, hidden[0].shape[-1]))
    for states, batch in zip(hidden, batches, strict=True):
        last[list(batch.rows)] = at_last_token(states, batch.mask).float()
    return last
