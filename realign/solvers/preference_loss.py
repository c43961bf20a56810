"""What a patch is trained on: preferences of the reference, and anchors that hold everything else.

All terms compare distributions of the next token, none needs a label:
- preference: DPO (Rafailov et al., arXiv 2305.18290) between the reference's own reply and the
  quantized parent's, against the quantized parent, as in Q-resafe (arXiv 2506.20251);
- imitation: KL(reference || patched) over the reference's reply;
- anchor: KL(parent || patched) over the parent's own replies to benign prompts;
- texts: the same over texts that the parent writes without a prompt.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import kl_div, logsigmoid


@dataclass(frozen=True, slots=True)
class TermWeights:
    """How much each term counts; 0 leaves it out."""

    preference: float = 1.0
    imitation: float = 1.0
    anchor: float = 1.0
    texts: float = 1.0


def preference_loss(preferred: Tensor, rejected: Tensor, beta: float) -> Tensor:
    """Return -log sigma(beta (preferred - rejected)), averaged over pairs.

    Args:
        preferred: log-probability of the preferred reply, patched minus quantized parent: float32 [B].
        rejected: the same of the rejected reply.
        beta: how far from the quantized parent a pair is taken before it counts no more.
    """
    return -logsigmoid(beta * (preferred - rejected)).mean()


def reply_divergence(meant: Tensor, got: Tensor, rows: int) -> Tensor:
    """Return KL(meant || got) of whole replies in nats: summed over places, averaged over rows.

    Summed, for the first word decides between refusal and answer: averaged over a long reply it would
    weigh next to nothing against a preference, which is over the whole reply too. `objective.divergence`
    is the same at each place, for whoever averages.

    Args:
        meant: logits [N, V], without gradients.
        got: logits [N, V].
        rows: from which the N places come.
    """
    summed = kl_div(got.log_softmax(dim=-1), meant.log_softmax(dim=-1), log_target=True, reduction="sum")
    return summed / rows


def weighted(terms: dict[str, Tensor], weights: TermWeights) -> Tensor:
    """Return the weighted sum of the terms there are."""
    parts = [getattr(weights, name) * term for name, term in terms.items()]
    return torch.stack(parts).sum()
