"""What is lost by storing each tensor in each type, in the presence of all others: from gradients.

Near the reference the loss KL(reference || model) of the next token is half of e^T F e, where e is what
rounding does to all weights and F the Fisher information E[g g^T] of gradients g of log-probabilities
(Martens, arXiv 1412.1193). With s_t = g . e_t for each tensor and prompt, the loss of a whole allocation
is half of E[(sum of s_t)^2]: what tensors do to each other is in it, and no gradient is kept. Errors of
so many tensors are held as their maker hands over at once; each lot takes the prompts once more.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Effects:
    """The change of a sampled log-probability that each tensor's rounding makes, to first order.

    Attributes:
        by_tensor: float64 [N, choices] of each tensor, over N draws.
        weights: float64 [N]: how much each draw counts; they sum to 1.
    """

    by_tensor: Mapping[str, Tensor]
    weights: Tensor

    def loss(self, chosen: Mapping[str, int]) -> float:
        """Return the loss of an allocation: half the mean square of the summed effects."""
        return float(0.5 * (self.weights * self._total(chosen).square()).sum())

    def alone(self) -> dict[str, Tensor]:
        """Return what each choice of each tensor costs while all others are floats: float64 [choices]."""
        weights = self.weights[:, None]
        return {
            tensor: 0.5 * (weights * effects.square()).sum(dim=0)
            for tensor, effects in self.by_tensor.items()
        }

    def costs(self, chosen: Mapping[str, int]) -> dict[str, Tensor]:
        """Return what each choice of each tensor costs while the others are stored as chosen.

        Shapes:
            float64 [choices] by tensor. Sums of costs count what two tensors do to each other twice, so
            that half of it goes to each.
        """
        total = self._total(chosen)
        found = {}
        for tensor, effects in self.by_tensor.items():
            others = total - effects[:, chosen[tensor]]
            joint = 0.5 * effects * (effects + others[:, None])
            found[tensor] = (self.weights[:, None] * joint).sum(dim=0)
        return found

    def _total(self, chosen: Mapping[str, int]) -> Tensor:
        return torch.stack([effects[:, chosen[t]] for t, effects in self.by_tensor.items()]).sum(dim=0)


@dataclass(frozen=True, slots=True)
class Draws:
    """Prompts with how much each counts: safety and utility."""

    prompts: Sequence[Sequence[int]]
    weights: Sequence[float]


def measure_effects(
    model: Any,  # noqa: ANN401 - transformers is untyped
    draws: Draws,
    names: Collection[str],
    lots: Iterable[Mapping[str, Sequence[Tensor]]],
    seed: int,
) -> Effects:
    """Draw a next token after each prompt, and see what each rounding does to its log-probability.

    Args:
        model: the float model, whose own distribution is drawn from.
        draws: prompts.
        names: of all parameters that the lots hold.
        lots: rounded - float weights of each tensor by parameter name, one a choice; some tensors at a
            time, each in one lot. What they are does not change the result, only what is held.
        seed: of the draws.
    """
    draw = torch.Generator().manual_seed(seed)
    own = dict(model.named_parameters())
    drawn: list[int] = []
    rows: dict[str, list[Tensor]] = {}
    states = {name: parameter.requires_grad for name, parameter in own.items()}
    try:
        for name, parameter in own.items():
            # all in every lot, so that all lots see the same sums
            parameter.requires_grad_(name in names)
        for lot in lots:
            parameters = [own[name] for name in lot]
            rows |= {name: [] for name in lot}
            for number, tokens in enumerate(draws.prompts):
                logarithms = _logarithms(model, tokens)
                if number == len(drawn):
                    drawn.append(_drawn(logarithms, draw))
                gradients = torch.autograd.grad(logarithms[drawn[number]], parameters)
                for name, gradient in zip(lot, gradients, strict=True):
                    rows[name].append(_effect(gradient, lot[name]))
            # gone before the next is made
            del lot
    finally:
        for name, parameter in own.items():
            parameter.requires_grad_(states[name])
    weights = torch.tensor(draws.weights, dtype=torch.float64)
    return Effects({name: torch.stack(each) for name, each in rows.items()}, weights / weights.sum())


def _effect(gradient: Tensor, errors: Sequence[Tensor]) -> Tensor:
    return torch.stack([(gradient * error).sum(dtype=torch.float64) for error in errors]).cpu()


def _logarithms(model: Any, tokens: Sequence[int]) -> Tensor:  # noqa: ANN401
    """Return the log-probabilities of the next token, with what gradients need."""
    with torch.enable_grad():
        ids = torch.tensor([list(tokens)], device=model.device)
        logarithms: Tensor = model(ids, use_cache=False).logits[0, -1].float().log_softmax(dim=-1)
    return logarithms


def _drawn(logarithms: Tensor, draw: torch.Generator) -> int:
    # on the CPU, where a seed gives the same draws whatever the model runs on
    return int(torch.multinomial(logarithms.detach().exp().cpu(), 1, generator=draw)[0])
