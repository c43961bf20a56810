"""Means of two classes and what lies around them, batch after batch, in plain torch.

A class that holds n states with mean m and sum of squared deviations S takes in k more with mean m' and
S' by (Chan, Golub and LeVeque, 1979):

    mean = m + (m' - m) k / (n + k)
    sum = S + S' + (m' - m)^2 n k / (n + k)

so that nothing large is ever taken from something large, as sum(h^2) - n m^2 would.
"""

import torch
from torch import Tensor


def updated(
    counts: Tensor, means: Tensor, scatter: Tensor, hidden: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return counts, means and scatter with a batch taken in.

    Shapes:
        counts int64 [2]; means and scatter float32 [2, D]; hidden [N, D]; labels uint8 [N], the class of
        each state.
    """
    states = hidden.float()
    parts = [states[labels == label] for label in range(2)]
    more = torch.tensor([len(part) for part in parts], device=counts.device)
    there = [part if len(part) else states.new_zeros(1, states.shape[1]) for part in parts]
    batch_means = torch.stack([part.mean(dim=0) for part in there])
    around = torch.stack(
        [(part - mean).square().sum(dim=0) for part, mean in zip(there, batch_means, strict=True)]
    )
    return merged((counts, means, scatter), (more, batch_means, around))


def merged(
    first: tuple[Tensor, Tensor, Tensor], second: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return counts, means and scatter of both together; the mean of nothing may be anything finite."""
    counts = first[0] + second[0]
    share = (second[0] / counts.clamp(min=1)).float()[:, None]
    gap = second[1] - first[1]
    means = first[1] + gap * share
    scatter = first[2] + second[2] + gap.square() * share * first[0].float()[:, None]
    return counts, means, scatter
