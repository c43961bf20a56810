"""How far two next-token distributions are apart, and how well each predicts text.

Shapes: log-probabilities are [..., V] or [P, V]: P positions, V vocabulary; natural logarithms.
float32 comes in, sums are float64.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
# exp of more than this has no room in a double
LARGEST_EXPONENT = 709.0


def normalised(logprobs: Floats) -> NDArray[np.float64]:
    """Return log-probabilities in float64 that sum to one over the last axis.

    Logits are as good an input as log-probabilities. Renormalising takes away the 1e-6 or so by
    which float32 log-probabilities miss a sum of one, which would else show up in a small KL.
    """
    values = np.asarray(logprobs, dtype=np.float64)
    highest = values.max(axis=-1, keepdims=True)
    # a row of nothing but -inf has no distribution: it becomes NaN, not zero
    with np.errstate(invalid="ignore"):
        shifted = values - highest
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def kl_nats(reference_logprobs: Floats, candidate_logprobs: Floats) -> NDArray[np.float64]:
    """Return KL(reference || candidate) in nats over the last axis, never negative.

    A token that the reference gives no probability adds nothing; one that only the candidate gives
    none makes the divergence infinite. NaN in either arm gives NaN.

    Shapes:
        reference_logprobs, candidate_logprobs: [..., V]; returns [...].

    Raises:
        ValueError: the shapes differ or V is 0.
    """
    if reference_logprobs.shape != candidate_logprobs.shape:
        raise ValueError(f"shapes {reference_logprobs.shape} and {candidate_logprobs.shape} differ")
    reference, candidate = normalised(reference_logprobs), normalised(candidate_logprobs)
    possible = reference != -np.inf
    gap = np.subtract(reference, candidate, out=np.zeros_like(reference), where=possible)
    # where the reference is impossible the candidate's NaN must still be seen
    gap[~possible & np.isnan(candidate)] = np.nan
    divergence = np.multiply(np.exp(reference), gap, out=gap).sum(axis=-1)
    # KL is not negative; rounding may leave -1e-17, and NaN stays NaN
    return np.asarray(np.maximum(divergence, 0.0), dtype=np.float64)


def agreeing(reference_logprobs: Floats, candidate_logprobs: Floats) -> NDArray[np.bool_]:
    """Tell for each position whether both arms find the same token likeliest.

    Shapes:
        reference_logprobs, candidate_logprobs: [P, V]; returns [P].
    """
    # argmax takes a NaN for the largest, so a broken position could agree by chance: it never does
    broken = np.isnan(reference_logprobs).any(axis=-1) | np.isnan(candidate_logprobs).any(axis=-1)
    same = reference_logprobs.argmax(axis=-1) == candidate_logprobs.argmax(axis=-1)
    return np.asarray(same & ~broken, dtype=np.bool_)


def perplexity(token_logprobs: Sequence[float] | Floats) -> float | None:
    """Return exp of the mean negative log-probability of a text's tokens; None without a token.

    Never infinite: a model that gives a token no probability gets the largest figure, so that the
    ratio to its reference is still a number that fails a policy. NaN in, NaN out.
    """
    values = np.asarray(token_logprobs, dtype=np.float64)
    if not values.size:
        return None
    mean = -float(values.mean())
    return math.exp(min(mean, LARGEST_EXPONENT)) if not math.isnan(mean) else mean


def finite(value: float | None) -> float | None:
    """Return the value if it is a finite number, else None: it was not measured."""
    return value if value is not None and math.isfinite(value) else None


class Divergence:
    """Gathers KL and agreement position by position, so that no text need be in memory at once."""

    def __init__(self) -> None:
        self._kl: list[NDArray[np.float64]] = []
        self._agreed = 0
        self.positions = 0

    def add_figures(self, kl_nats_by_position: Sequence[float], agreed: int) -> None:
        """Add positions of one passage, see `kl_nats` and `agreeing`.

        Raises:
            ValueError: more positions agree than there are.
        """
        if not 0 <= agreed <= len(kl_nats_by_position):
            raise ValueError(f"{agreed} of {len(kl_nats_by_position)} positions cannot agree")
        if kl_nats_by_position:
            self._kl.append(np.asarray(kl_nats_by_position, dtype=np.float64))
            self._agreed += agreed
            self.positions += len(kl_nats_by_position)

    @property
    def kl_mean(self) -> float | None:
        """Mean KL in nats over the positions; None without one."""
        return float(np.concatenate(self._kl).mean()) if self._kl else None

    @property
    def kl_p99(self) -> float | None:
        """99th percentile of KL in nats: the smallest position's value that 99 % do not exceed."""
        # "higher" picks a value that occurred; interpolating towards an infinite one gives NaN
        return float(np.percentile(np.concatenate(self._kl), 99, method="higher")) if self._kl else None

    @property
    def top1_agreement(self) -> float | None:
        """Share of positions whose likeliest token is the same; None without one."""
        return self._agreed / self.positions if self.positions else None
