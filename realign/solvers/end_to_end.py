"""The whole model's rounding, learned together on what its teachers say next.

Blocks that were rounded one by one leave errors that add up, and a refusal hangs on one token. Here
ranges, norms and (in models that fit) weights before rounding are trained by gradients through all
blocks at once, as in the second phase of EfficientQAT (arXiv 2407.11062), with distributions of tokens
as targets in place of labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from realign.grids.grid import Grid
from realign.objective import Objective, divergence
from realign.solvers.layer_training import Rates
from realign.solvers.rounded_inputs import inputs_rounded
from realign.solvers.rounded_matrix import RoundedMatrix
from realign.solvers.settled import Settled
from realign.solvers.taught_rows import TaughtKind, TaughtRows
from realign.solvers.training_order import endless, permutations, rate_share

WARM_UP_STEPS = 10


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of the whole training a round is: learning rates fall over all of it.

    Attributes:
        first: number of its first step.
        steps: how many it has.
        total: steps of all rounds.
    """

    first: int
    steps: int
    total: int

    def factor(self, step: int) -> float:
        """Return the learning rates' factor at the round's n-th step: a half cosine after a short warm-up."""
        done = (self.first + step) / self.total
        return rate_share(step, WARM_UP_STEPS, math.pi * done)


class RoundedModel:
    """A model's learned parts; the model itself is not changed.

    Args:
        model: transformers model, float32.
        grids: of its matrices, by module name.
        settled: where to begin.
        input_bits: of what linear layers of the blocks are given; None for floats.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        grids: Mapping[str, Grid],
        settled: Settled,
        input_bits: int | None = None,
    ) -> None:
        self._model = model
        self._input_bits = input_bits
        self.matrices = {
            name: RoundedMatrix(weight, grids[name], low, high)
            for name, (weight, low, high) in settled.matrices.items()
        }
        rounded = {f"{name}.weight" for name in self.matrices}
        self.floats = {
            name: nn.Parameter(settled.floats.get(name, value).detach().clone())
            for name, value in model.named_parameters()
            # matrices that the job leaves alone stay as they are
            if name not in rounded and value.ndim == 1
        }

    def parameters(self) -> dict[str, Tensor]:
        """Return the values that the model computes with, with gradients."""
        return {
            **self.floats,
            **{f"{name}.weight": matrix.rounded() for name, matrix in self.matrices.items()},
        }

    def logits(self, parameters: Mapping[str, Tensor], batch: TaughtRows) -> Tensor:
        """Return logits wherever a token follows: float32 [N, V]."""
        inside = {n.removeprefix("model."): v for n, v in parameters.items() if n.startswith("model.")}
        with inputs_rounded(self._model.model, self._input_bits):
            hidden = functional_call(
                self._model.model, inside, (batch.rows.ids[:, :-1],), {"use_cache": False}
            ).last_hidden_state
        # where the output matrix is tied it has no name of its own
        tied = parameters.get("model.embed_tokens.weight") if self._tied else None
        head = parameters.get("lm_head.weight", tied)
        if head is None:
            head = self._model.lm_head.weight
        return nn.functional.linear(hidden[batch.rows.follows], head, self._model.lm_head.bias).float()

    def groups(self, rates: Rates, *, weights: bool) -> list[dict[str, Any]]:
        """Return what is trained, with learning rates."""
        groups: list[dict[str, Any]] = [
            {"params": [matrix.ends for matrix in self.matrices.values()], "lr": rates.ends},
            {"params": list(self.floats.values()), "lr": rates.floats},
        ]
        for matrix in self.matrices.values():
            matrix.weight.requires_grad_(weights)
            if weights:
                groups.append({"params": [matrix.weight], "lr": rates.weights * matrix.step})
        return [group for group in groups if group["lr"] and group["params"]]

    def settled(self) -> Settled:
        """Return the learned parts."""
        return Settled(
            {name: matrix.settled() for name, matrix in self.matrices.items()},
            {name: value.detach().clone() for name, value in self.floats.items()},
        )

    @property
    def _tied(self) -> bool:
        return self._model.lm_head.weight is self._model.get_input_embeddings().weight


def weighted_divergence(batch: TaughtRows, meant: Tensor, got: Tensor, objective: Objective) -> Tensor:
    """Return a batch's weighted KL terms: first token, reply and prompt, or text; a scalar."""
    by_place = divergence(meant, got)
    if batch.kind == "texts":
        return objective.texts * by_place.mean()
    share = objective.malicious_share if batch.kind == "malicious" else 1 - objective.malicious_share
    replies = batch.in_reply
    parts = (
        objective.first_token * by_place[batch.firsts].mean() + objective.replies * by_place[replies].mean()
    )
    if objective.prompts and not bool(replies.all()):
        parts = parts + objective.prompts * by_place[~replies].mean()
    # two classes of equal weight count one each
    return 2 * share * parts


def train_round(
    rounded: RoundedModel,
    batches: Mapping[TaughtKind, Sequence[TaughtRows]],
    teachers: Mapping[TaughtKind, Any],
    objective: Objective,
    rates: Rates,
    span: Span,
    *,
    weights: bool,
    seed: int,
) -> None:
    """Train for one round; a step takes one batch of each kind.

    Args:
        rounded: what is trained.
        batches: by kind; a kind without any is left out.
        teachers: by kind.
        objective: weights of the terms.
        rates: learning rates at their highest.
        span: which part of all rounds this is.
        weights: whether weights before rounding are trained, or ranges and norms alone.
        seed: of the order of batches.
    """
    optimizer = torch.optim.Adam(rounded.groups(rates, weights=weights), betas=(0.9, 0.95))
    highest = [group["lr"] for group in optimizer.param_groups]
    streams = {kind: endless(rows, permutations(seed)) for kind, rows in batches.items() if rows}
    for step in range(span.steps):
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * span.factor(step)
        optimizer.zero_grad(set_to_none=True)
        parameters = rounded.parameters()
        # gradients of all kinds gather here, so that the rounding is gone back through once
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        for kind, stream in streams.items():
            batch = next(stream)
            loss = weighted_divergence(
                batch, batch.taught(teachers[kind]), rounded.logits(leaves, batch), objective
            )
            torch.autograd.backward(loss)
        reached = [name for name, leaf in leaves.items() if leaf.grad is not None]
        torch.autograd.backward(
            [parameters[name] for name in reached], [leaves[name].grad for name in reached]
        )
        optimizer.step()


@torch.no_grad()
def mean_divergence(
    rounded: RoundedModel,
    batches: Mapping[TaughtKind, Sequence[TaughtRows]],
    teachers: Mapping[TaughtKind, Any],
) -> dict[str, float]:
    """Return, by kind, the mean KL at replies' first tokens and over replies (texts: over all), in nats."""
    parameters = rounded.parameters()
    found: dict[str, float] = {}
    for kind, rows in batches.items():
        firsts, replies = [], []
        for batch in rows:
            by_place = divergence(batch.taught(teachers[kind]), rounded.logits(parameters, batch))
            firsts.append(by_place[batch.firsts])
            replies.append(by_place[batch.in_reply])
        if rows:
            found[f"{kind}.replies"] = float(torch.cat(replies).mean())
            if kind != "texts":
                found[f"{kind}.first_token"] = float(torch.cat(firsts).mean())
    return found
