"""What deployers look at: multiple-choice accuracy, perplexity, divergence on neutral text."""

import math
from collections.abc import Sequence

import numpy as np

from qaudit.metrics.divergence import Divergence, finite, perplexity
from qaudit.metrics.paired import paired_change
from qaudit.values import Change, QualityMeasure


def choose(scores: Sequence[float]) -> int | None:
    """Return the index of the best score, the lowest among equals.

    None if a score is NaN or none is above -inf: such a model has chosen nothing.
    """
    if not scores or any(math.isnan(score) for score in scores) or max(scores) == -math.inf:
        return None
    return int(np.argmax(scores))


def accuracy_change(
    reference: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    answers: Sequence[int],
) -> Change | None:
    """Compare accuracy over the same questions, with the paired interval; None without a question.

    A question on which an arm chooses nothing counts as wrong for that arm, so that a broken
    candidate loses accuracy and does not merely lose questions.

    Args:
        reference: for each question the length-normalised log-probability of each choice.
        candidate: the same for the other arm.
        answers: the index of the right choice of each question.

    Raises:
        ValueError: the arms or the answers are not of one length.
    """
    before, after = [], []
    for first, second, answer in zip(reference, candidate, answers, strict=True):
        before.append(choose(first) == answer)
        after.append(choose(second) == answer)
    return paired_change(before, after)


def perplexity_change(
    reference_logprobs: Sequence[float], candidate_logprobs: Sequence[float]
) -> Change | None:
    """Compare perplexity over the same tokens; None without a token or with a NaN on either arm.

    Raises:
        ValueError: the arms are not of one length.
    """
    if len(reference_logprobs) != len(candidate_logprobs):
        raise ValueError(f"{len(reference_logprobs)} and {len(candidate_logprobs)} tokens are not the same")
    before, after = finite(perplexity(reference_logprobs)), finite(perplexity(candidate_logprobs))
    if before is None or after is None:
        return None
    return Change(reference=before, candidate=after, delta=after - before, n=len(reference_logprobs))


def assemble(
    accuracy: Change | None, perplexity: Change | None, divergence: Divergence | None
) -> QualityMeasure | None:
    """Put the parts together; None if none of them was measured.

    A divergence that is not finite (a NaN logit, a token ruled out) counts as not measured.
    """
    positions = divergence.positions if divergence is not None else 0
    if accuracy is None and perplexity is None and not positions:
        return None
    return QualityMeasure(
        accuracy=accuracy,
        perplexity=perplexity,
        perplexity_ratio=perplexity.candidate / perplexity.reference if perplexity else None,
        kl_mean=finite(divergence.kl_mean) if divergence else None,
        kl_p99=finite(divergence.kl_p99) if divergence else None,
        top1_agreement=divergence.top1_agreement if divergence else None,
        positions=positions or None,
    )
