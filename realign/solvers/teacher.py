"""A model that a patch learns from, run once: what it makes of given replies is kept."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from realign.calibration_activations import ROWS_AT_ONCE
from realign.greedy_replies import Tokens
from realign.reply_rows import hidden_where, reply_rows


class Teacher:
    """What a model says next at every token of some replies.

    Last hidden states are kept, on the CPU: logits are a vocabulary wide and are made when asked for.

    Args:
        model: transformers model of a known family; it may be changed afterwards.
        prompts: token ids.
        replies: token ids, none of them empty.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: Any,  # noqa: ANN401
        prompts: Sequence[Tokens],
        replies: Sequence[Tokens],
    ) -> None:
        self._states: list[Tensor] = []
        for start in range(0, len(prompts), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            rows = reply_rows(prompts[part], replies[part], model.device)
            states = hidden_where(model, rows, rows.replies).cpu()
            self._states += torch.split(states, rows.replies.sum(dim=1).tolist())
        head = model.lm_head
        self._head = head.weight.detach().clone()
        self._bias = None if head.bias is None else head.bias.detach().clone()

    @torch.no_grad()
    def logits(self, chosen: Sequence[int]) -> Tensor:
        """Return logits for the tokens of some replies, one reply after another: float32 [N, V]."""
        states = torch.cat([self._states[place] for place in chosen]).to(self._head.device)
        return linear(states, self._head, self._bias).float()
