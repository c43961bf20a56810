"""What a patch is trained on: replies that nobody had to write, made by the models themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from realign.calibration_activations import ROWS_AT_ONCE
from realign.greedy_replies import Tokens
from realign.reply_rows import logits_where, packed, reply_log_probabilities, reply_rows, unpacked


@dataclass(frozen=True, slots=True)
class PreferenceData:
    """Prompts, replies and texts.

    Attributes:
        prompts: malicious ones.
        preferred: the reference's own replies to them.
        rejected: the quantized parent's.
        benign: benign prompts.
        answers: the parent's own replies to them.
        texts: what the parent writes without a prompt.
        base: log-probabilities of preferred and rejected replies to the quantized parent, float32 [2, P].
    """

    prompts: Sequence[Tokens]
    preferred: Sequence[Tokens]
    rejected: Sequence[Tokens]
    benign: Sequence[Tokens]
    answers: Sequence[Tokens]
    texts: Sequence[Tokens]
    base: Tensor

    @property
    def differing(self) -> int:
        """How many pairs say anything: the replies are not the same."""
        return sum(one != other for one, other in zip(self.preferred, self.rejected, strict=True))

    def tensors(self) -> dict[str, Tensor]:
        """Return all as tensors, so that it can be stored."""
        stored = {"base": self.base}
        for name in _ROWS:
            stored[f"{name}:tokens"], stored[f"{name}:lengths"] = packed(getattr(self, name))
        return stored


_ROWS = tuple(field.name for field in fields(PreferenceData) if field.name != "base")


def stored_data(tensors: Mapping[str, Tensor]) -> PreferenceData:
    """Return what `PreferenceData.tensors` stored."""
    rows: dict[str, Any] = {
        name: unpacked(tensors[f"{name}:tokens"], tensors[f"{name}:lengths"]) for name in _ROWS
    }
    return PreferenceData(**rows, base=tensors["base"])


@torch.no_grad()
def base_log_probabilities(
    model: Any,  # noqa: ANN401 - transformers is untyped
    prompts: Sequence[Tokens],
    replies: Sequence[Tokens],
) -> Tensor:
    """Return the log-probability of each reply: float32 [P], on the CPU."""
    found = []
    for start in range(0, len(prompts), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        rows = reply_rows(prompts[part], replies[part], model.device)
        found.append(reply_log_probabilities(logits_where(model, rows, rows.replies), rows).cpu())
    return torch.cat(found)
