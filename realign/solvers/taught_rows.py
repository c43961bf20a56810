"""What a whole model is taught end to end: replies and texts, each with the model that it is learned from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from realign.reply_rows import ReplyRows, Tokens, hidden_where, reply_rows

TaughtKind = Literal["malicious", "benign", "texts"]


@dataclass(slots=True)
class TaughtRows:
    """Rows that go through together, all of one kind, with what their teacher makes of them.

    Attributes:
        kind: malicious prompts with the reference's replies, benign ones with the parent's, or texts
            that the parent wrote.
        rows: prompts and replies; a text is all reply.
    """

    kind: TaughtKind
    rows: ReplyRows
    _hidden: Tensor | None = field(default=None, repr=False)

    @torch.no_grad()
    def taught(self, teacher: Any) -> Tensor:  # noqa: ANN401 - transformers is untyped
        """Return the teacher's logits wherever a token follows: float32 [N, V].

        Its last hidden states are kept; logits are a vocabulary wide and are made anew each time.
        """
        if self._hidden is None:
            self._hidden = hidden_where(teacher, self.rows, self.rows.follows)
        logits: Tensor = teacher.lm_head(self._hidden)
        return logits.float()

    @property
    def firsts(self) -> Tensor:
        """Which of the places where a token follows come before a reply's first token: bool [N]."""
        replies = self.rows.replies
        before = torch.cat([torch.zeros_like(replies[:, :1]), replies[:, :-1]], dim=1)
        return (replies & ~before)[self.rows.follows]

    @property
    def in_reply(self) -> Tensor:
        """Which of the places where a token follows come before a token of a reply: bool [N]."""
        return self.rows.replies[self.rows.follows]


def rows_of(
    kind: TaughtKind,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    at_once: int,
    device: torch.device | str = "cpu",
) -> list[TaughtRows]:
    """Return rows in batches of like length, so that little of them is padding."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]) + len(replies[place]))
    return [
        TaughtRows(kind, reply_rows([prompts[i] for i in part], [replies[i] for i in part], device))
        for part in (order[start : start + at_once] for start in range(0, len(order), at_once))
    ]


def texts_of(texts: Sequence[Tokens], at_once: int, device: torch.device | str = "cpu") -> list[TaughtRows]:
    """Return texts in batches: the first token is given, all others are what follows."""
    return rows_of("texts", [text[:1] for text in texts], [text[1:] for text in texts], at_once, device)
