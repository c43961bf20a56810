"""What a realigned model is trained for: each term for itself, a row of calibration at a time.

- reconstruction: a block's output stays what it was, on benign and on malicious prompts, each with its
  own weight;
- separation: softplus(m - y (w . h + b)) at the prompt's last token on the reference's frozen probe,
  y = 1 for malicious and -1 for benign prompts. Q-realign (arXiv 2601.08089) has the malicious side and
  no margin only, which is what drives over-refusal up; the benign side bounds it;
- next tokens: KL(teacher || model) at a reply's first token, over the rest of the reply, and over texts
  that the parent writes on its own. The teacher is the reference on malicious prompts and the parent on
  everything else: refusals come from the one, ability from the other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from qaudit.errors import InputError
from realign.activation_stream import last_positions
from realign.kernels.separation_loss import separation_losses

# a state of nothing but zeros has no direction to keep
SMALLEST_SQUARE = 1e-6


@dataclass(frozen=True, slots=True)
class Objective:
    """How much each term counts; 0 leaves it out.

    Attributes:
        benign: reconstruction on benign prompts.
        malicious: reconstruction on malicious prompts.
        separation: both sides of the probe.
        margin: how far on its side of the probe a prompt is wanted, in the probe's own units.
        malicious_share: of the total weight of prompts; the rest is the benign prompts'.
        first_token: KL at the first token of a reply.
        replies: KL over whole replies.
        prompts: KL within the prompts themselves.
        texts: KL over the parent's own texts.
    """

    benign: float = 1.0
    malicious: float = 1.0
    separation: float = 0.02
    margin: float = 1.0
    malicious_share: float = 0.4
    first_token: float = 1.0
    replies: float = 1.0
    prompts: float = 0.25
    texts: float = 0.5

    def __post_init__(self) -> None:
        weights = (
            self.benign, self.malicious, self.separation,
            self.first_token, self.replies, self.prompts, self.texts,
        )  # fmt: skip
        if min(weights) < 0 or not 0 <= self.malicious_share <= 1:
            raise InputError(
                "weights of terms are not negative, and the malicious share lies between 0 and 1"
            )

    def row_weights(self, malicious: Tensor) -> Tensor:
        """Return each prompt's weight, with mean 1 over all prompts: float32 [N].

        Args:
            malicious: bool [N], of all calibration prompts.
        """
        count, total = int(malicious.sum()), len(malicious)
        of_class = torch.tensor(
            [
                (1 - self.malicious_share) * total / max(1, total - count),
                self.malicious_share * total / max(1, count),
            ]
        )
        return of_class[malicious.long()]


def reconstruction(written: Tensor, meant: Tensor, mask: Tensor) -> Tensor:
    """Return each row's mean relative squared error ||h - h'||^2 / ||h'||^2 over its own tokens: [B].

    Relative to each token, for a few tokens (the first of a text above all) have states a thousand
    times as large as the others, and would be all that a plain mean sees.

    Shapes:
        written, meant [B, T, D]; mask bool [B, T], false where there is padding.
    """
    off = (written.float() - meant.float()).square().sum(dim=-1)
    size = meant.float().square().sum(dim=-1).clamp(min=SMALLEST_SQUARE)
    return torch.where(mask, off / size, 0).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


def separation(
    written: Tensor, mask: Tensor, malicious: Tensor, weight: Tensor, bias: float, margin: float
) -> Tensor:
    """Return each row's softplus(m - y (w . h + b)) at its last own token: [B].

    Shapes:
        written [B, T, D]; mask bool [B, T]; malicious bool [B]; weight [D].
    """
    sides = torch.where(malicious, 1.0, -1.0)
    last = last_positions(mask).to(written.device)
    return separation_losses(written, last, sides, weight.to(written.device), bias, margin=margin)


def divergence(meant: Tensor, got: Tensor) -> Tensor:
    """Return KL(meant || got) in nats at each place: [N].

    Shapes:
        meant, got: logits [N, V]; no gradient reaches the former.
    """
    expected = meant.detach().float().log_softmax(dim=-1)
    return (expected.exp() * (expected - got.float().log_softmax(dim=-1))).sum(dim=-1)
