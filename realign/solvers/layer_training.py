"""One block's rounding, learned on what goes into it and what should come out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from realign.objective import Objective, reconstruction, separation
from realign.separation_probes import Line
from realign.solvers.rounded_block import RoundedBlock


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates.

    Attributes:
        ends: of natural logs of the factors that move the ends of ranges.
        scales: of natural logs of the scales between writers and readers.
        weights: of weights, as a share of the distance of two points of their grid; 0 leaves them
            alone, so that each is rounded to the nearest point.
        floats: of what is not rounded (norms), end to end.
    """

    ends: float = 3e-3
    scales: float = 1e-3
    weights: float = 5e-3
    floats: float = 1e-4


@dataclass(frozen=True, slots=True)
class LayerBatch:
    """Prompts on their way through one block.

    Shapes:
        hidden, meant [B, T, D]; mask bool [B, T]; malicious bool [B]; row_weights float32 [B].

    Attributes:
        hidden: what goes in, from the rounded blocks before.
        meant: what should come out.
        arguments: the block's other arguments.
        mask: own tokens, not padding.
        malicious: which rows.
        row_weights: how much each row counts.
    """

    hidden: Tensor
    meant: Tensor
    arguments: Mapping[str, Any]
    mask: Tensor
    malicious: Tensor
    row_weights: Tensor


def losses(written: Tensor, batch: LayerBatch, objective: Objective, probe: Line | None) -> dict[str, Tensor]:
    """Return the weighted terms of a batch, summed over its rows."""
    class_weight = torch.where(batch.malicious, objective.malicious, objective.benign)
    by_row = reconstruction(written, batch.meant, batch.mask)
    terms = {"reconstruction": (batch.row_weights * class_weight * by_row).sum()}
    if objective.separation and probe is not None:
        by_row = separation(written, batch.mask, batch.malicious, probe.weight, probe.bias, objective.margin)
        terms["separation"] = objective.separation * (batch.row_weights * by_row).sum()
    return terms


@torch.no_grad()
def mean_losses(
    rounded: RoundedBlock, batches: Sequence[LayerBatch], objective: Objective, probe: Line | None
) -> dict[str, float]:
    """Return the weighted terms, averaged over all rows."""
    sums: dict[str, float] = {}
    for batch in batches:
        found = losses(rounded.run(batch.hidden, batch.arguments), batch, objective, probe)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value)
    rows = sum(len(batch.mask) for batch in batches)
    return {name: value / rows for name, value in sums.items()}


def train_layer(
    rounded: RoundedBlock,
    batches: Sequence[LayerBatch],
    objective: Objective,
    probe: Line | None,
    rates: Rates,
    epochs: int,
    seed: int,
) -> None:
    """Learn a block's rounding; every batch is a step, in an order drawn anew each epoch."""
    groups = groups_of(rounded, rates)
    if not groups:
        return
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95))
    draw = torch.Generator().manual_seed(seed)
    steps = epochs * len(batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(epochs):
        for place in torch.randperm(len(batches), generator=draw).tolist():
            batch = batches[place]
            terms = losses(rounded.run(batch.hidden, batch.arguments), batch, objective, probe)
            loss = torch.stack(list(terms.values())).sum() / len(batch.mask)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()


def groups_of(rounded: RoundedBlock, rates: Rates) -> list[dict[str, Any]]:
    """Return a block's parameters with their learning rates; those with none are left out."""
    groups: list[dict[str, Any]] = [
        {"params": rounded.ends, "lr": rates.ends},
        {"params": rounded.scales, "lr": rates.scales},
    ]
    for matrix in rounded.matrices.values():
        matrix.weight.requires_grad_(bool(rates.weights))
        groups.append({"params": [matrix.weight], "lr": rates.weights * matrix.step})
    return [group for group in groups if group["lr"] and group["params"]]
