"""Prompts with their replies as padded rows, and how likely a model finds the replies.

Rows are padded on the right, where a causal model's real tokens cannot see it; whatever is counted
leaves the padding out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReplyRows:
    """Prompts with replies; B rows, T tokens of the longest.

    Attributes:
        ids: int64 [B, T].
        follows: bool [B, T - 1]: the token after this place is real.
        replies: bool [B, T - 1]: the token after this place belongs to the reply.
    """

    ids: Tensor
    follows: Tensor
    replies: Tensor

    @property
    def following(self) -> Tensor:
        """The token after each place: int64 [B, T - 1]."""
        return self.ids[:, 1:]


def reply_rows(
    prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], device: torch.device | str = "cpu"
) -> ReplyRows:
    """Put prompts and replies into rows; an empty reply is that of a text without a question."""
    rows = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    place = torch.arange(1, width, device=device)[None]
    ends = torch.tensor([[len(row)] for row in rows], device=device)
    starts = torch.tensor([[len(prompt)] for prompt in prompts], device=device)
    follows = place < ends
    return ReplyRows(ids, follows, follows & (place >= starts))


def hidden_where(model: Any, rows: ReplyRows, wanted: Tensor) -> Tensor:  # noqa: ANN401
    """Return the last hidden states at some places, row by row: [N, D].

    Args:
        model: transformers model of a known family.
        rows: what goes in.
        wanted: bool [B, T - 1], N of them true.
    """
    # the last token predicts nothing that is wanted
    hidden: Tensor = model.model(rows.ids[:, :-1], use_cache=False).last_hidden_state
    return hidden[wanted]


def logits_where(model: Any, rows: ReplyRows, wanted: Tensor) -> Tensor:  # noqa: ANN401
    """Return the logits of the next token at some places only: float32 [N, V].

    A vocabulary is many times as wide as a hidden state: logits that nobody asks for are not made.

    Args:
        model: transformers model of a known family.
        rows: what goes in.
        wanted: bool [B, T - 1], N of them true.
    """
    logits: Tensor = model.lm_head(hidden_where(model, rows, wanted))
    return logits.float()


def reply_log_probabilities(logits: Tensor, rows: ReplyRows) -> Tensor:
    """Return the natural log of each reply's probability, summed over its tokens: float32 [B].

    Args:
        logits: at the places of the replies, float32 [N, V].
        rows: whose replies.
    """
    chosen = logits.log_softmax(dim=-1).gather(-1, rows.following[rows.replies][:, None])[:, 0]
    by_place = torch.zeros_like(rows.replies, dtype=chosen.dtype).masked_scatter(rows.replies, chosen)
    return by_place.sum(dim=-1)


def packed(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return rows of any length as one run of int64 tokens and the lengths, so that they can be stored."""
    tokens = torch.tensor([token for row in rows for token in row], dtype=torch.int64)
    return tokens, torch.tensor([len(row) for row in rows], dtype=torch.int64)


def unpacked(tokens: Tensor, lengths: Tensor) -> list[Tokens]:
    """Return the rows that `packed` was given."""
    run, rows, start = tokens.tolist(), [], 0
    for length in lengths.tolist():
        rows.append(tuple(run[start : start + length]))
        start += length
    return rows
