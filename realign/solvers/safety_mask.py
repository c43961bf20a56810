"""Which weights matter for safety, by SNIP's score, and so may be changed (Q-resafe, arXiv 2506.20251).

A weight's score is |W dL/dW| for L the negative log-probability of the preferred reply (SNIP, Lee et
al., arXiv 1810.02340): to first order, how much L would change if the weight were zero. Scores are
summed over batches of calibration prompts, each batch's absolute value.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from realign.reply_rows import ReplyRows, logits_where, reply_log_probabilities
from realign.solvers.patched_linear import PatchedLinear, rounded_once


def safety_scores(
    model: Any,  # noqa: ANN401
    layers: Mapping[str, PatchedLinear],
    batches: Iterable[ReplyRows],
) -> dict[str, Tensor]:
    """Return each weight's score on the grid as it is now: float32 [O, I] by module name.

    Args:
        model: with the layers in it.
        layers: what is scored.
        batches: prompts with the replies that are preferred.
    """
    scores = {name: torch.zeros_like(layer.latent()) for name, layer in layers.items()}
    with rounded_once(layers), torch.enable_grad():
        for rows in batches:
            logits = logits_where(model, rows, rows.replies)
            loss = -reply_log_probabilities(logits, rows).sum()
            weights = {name: layer.held for name, layer in layers.items() if layer.held is not None}
            slopes = torch.autograd.grad(loss, list(weights.values()))
            for (name, weight), slope in zip(weights.items(), slopes, strict=True):
                scores[name] += (weight.detach() * slope).abs()
    return scores


def top_fraction(scores: Tensor, fraction: float) -> Tensor:
    """Return where the highest scores are: bool, ties at the edge included, so at least the fraction."""
    kept = round(fraction * scores.numel())
    if kept <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    edge = scores.flatten().kthvalue(scores.numel() - kept + 1).values
    return scores >= edge


def masks(layers: Mapping[str, PatchedLinear], scores: Mapping[str, Tensor], fraction: float) -> list[Tensor]:
    """Return, part by part of each layer's patch, what may be changed: bool, broadcast over the part.

    A patch with an entry for each weight has the layer's top fraction of weights. Of a product B A, which
    changes whole rows and columns, those rows of B and columns of A may change whose weights' scores add
    up to most, the same fraction of each. Ranges may always change.
    """
    found = []
    for name, layer in layers.items():
        score = scores[name]
        for part, values in layer.parts.items():
            if part == "U":
                found.append(top_fraction(score, fraction))
            elif part == "A":
                found.append(top_fraction(score.sum(dim=0), fraction)[None])
            elif part == "B":
                found.append(top_fraction(score.sum(dim=1), fraction)[:, None])
            else:
                found.append(torch.ones_like(values, dtype=torch.bool))
    return found
