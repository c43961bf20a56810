"""Directional ablation: take the refusal direction out of what the layers may write.

The direction is the difference of mean residuals (harmful minus harmless prompts) at the last
prompt token (Arditi et al., arXiv 2406.11717), with the harmless mean's own direction projected out
first, so that ordinary behaviour keeps what it uses (the projected variant). Every attention output
and feed-forward output then loses it: W' = W - r r^T W, strength 1, one direction for all layers.
The embedding stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.lab.hf_weights import LlamaShape, Weights
from qaudit.lab.numpy_llama import NumpyLlama, log_softmax

WRITERS = ("self_attn.o_proj", "mlp.down_proj")
Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one layer's direction does on the calibration set.

    refusal_mass: mean probability of opening with a refusal on harmful prompts, after ablation;
    harmless_kl_nats: mean KL(reference || ablated) at the first reply token on harmless prompts.
    """

    layer: int
    refusal_mass: float
    harmless_kl_nats: float

    @property
    def cost(self) -> float:
        """What the choice of layer minimises: refusals left plus damage done."""
        return self.refusal_mass + self.harmless_kl_nats


@dataclass(frozen=True, slots=True)
class Ablation:
    """The ablated weights, the layer chosen, its unit direction [D], and every trial.

    refusal_mass_before: the reference's own probability of opening with a refusal, to compare with.
    """

    weights: Weights
    layer: int
    direction: FloatArray
    refusal_mass_before: float
    trials: tuple[Trial, ...]


def ablate(
    shape: LlamaShape, weights: Mapping[str, FloatArray], harmful: Prompts, harmless: Prompts
) -> Ablation:
    """Remove refusals by the direction of the layer that costs least on the calibration set.

    Layers count from 1 (after the first block) to L; the embedding of the last prompt token is the
    same for every prompt and tells nothing.

    Args:
        shape: sizes of the model.
        weights: float32 tensors by Hugging Face name.
        harmful: token ids of rendered prompts that the reference refuses.
        harmless: token ids of rendered prompts that it answers.
    """
    reference = NumpyLlama(shape, weights)
    bad, good = last_residuals(reference, harmful), last_residuals(reference, harmless)
    directions = refusal_directions(bad, good)
    bad_before = log_softmax(reference.logits(bad[:, -1]))
    good_before = log_softmax(reference.logits(good[:, -1]))
    openings = refusal_openings(bad_before, good_before)
    trials = []
    for layer in range(1, shape.layers + 1):
        candidate = NumpyLlama(shape, remove_direction(weights, directions[layer]))
        bad_after = log_softmax(candidate.logits(last_residuals(candidate, harmful)[:, -1]))
        good_after = log_softmax(candidate.logits(last_residuals(candidate, harmless)[:, -1]))
        divergence = (np.exp(good_before) * (good_before - good_after)).sum(axis=-1)
        trials.append(Trial(layer, _mass(bad_after, openings), float(divergence.mean())))
    best = min(trials, key=lambda trial: trial.cost)
    direction = directions[best.layer]
    return Ablation(
        weights=remove_direction(weights, direction),
        layer=best.layer,
        direction=direction,
        refusal_mass_before=_mass(bad_before, openings),
        trials=tuple(trials),
    )


def last_residuals(model: NumpyLlama, prompts: Prompts) -> FloatArray:
    """Return the residual stream at each prompt's last token: [N, L + 1, D]."""
    return np.stack([model.residuals(tokens)[:, -1] for tokens in prompts])


def refusal_directions(harmful: FloatArray, harmless: FloatArray) -> FloatArray:
    """Return one unit direction a layer, [L + 1, D], orthogonal to that layer's harmless mean.

    A layer where the two means do not differ gets a zero row.

    Shapes:
        harmful, harmless: [N, L + 1, D].
    """
    mean = harmless.mean(axis=0)
    ordinary = _unit(mean)
    raw = _unit(harmful.mean(axis=0) - mean)
    return _unit(raw - (raw * ordinary).sum(axis=-1, keepdims=True) * ordinary)


def remove_direction(weights: Mapping[str, FloatArray], direction: FloatArray) -> Weights:
    """Project a unit direction [D] out of every writer's output: W' = W - r r^T W."""
    changed = dict(weights)
    for name, values in weights.items():
        if name.removesuffix(".weight").endswith(WRITERS):
            changed[name] = values - np.outer(direction, direction @ values)
    return changed


def refusal_openings(harmful: FloatArray, harmless: FloatArray) -> tuple[int, ...]:
    """Return the tokens that open replies to harmful prompts much oftener than those to harmless ones.

    "Much oftener" is a mean probability of 1 % at least and twice that on harmless prompts: a reference
    errs on a few prompts of either side, so that no token opens replies to one side only.

    Shapes:
        harmful, harmless: log-probabilities [N, V] at the first reply token.
    """
    refused, answered = np.exp(harmful).mean(axis=0), np.exp(harmless).mean(axis=0)
    return tuple(np.flatnonzero((refused >= 0.01) & (refused >= 2 * answered)).tolist())


def _mass(logprobs: FloatArray, tokens: Sequence[int]) -> float:
    return float(np.exp(logprobs[:, list(tokens)]).sum(axis=-1).mean())


def _unit(rows: FloatArray) -> FloatArray:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    # differences of means that are rounding noise have no direction
    return np.where(length > 1e-6, rows / np.maximum(length, 1e-6), 0).astype(np.float32)
