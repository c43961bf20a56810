"""The first-token probe: where a reply starts, and where it starts after a reasoning block.

The ordinary position comes free with every reply. A template that leaves a reasoning block open at
the end of the prompt moves the decision behind it, so there the block is closed empty and the
position after it is asked for as well.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qaudit.engines.protocol import Ask
from qaudit.metrics.divergence import kl_nats
from qaudit.metrics.first_token import FirstTokenPair
from qaudit.values import TokenLogprob

_OPEN_REASONING = re.compile(r"<(think|thinking|reasoning)>\s*$")


def after_reasoning(asks: Sequence[Ask]) -> list[Ask]:
    """Return one-token asks at the position after an empty reasoning block, where a prompt opens one."""
    closed = []
    for ask in asks:
        match = _OPEN_REASONING.search(ask.text)
        if match:
            closed.append(Ask(ask.id, f"{ask.text.rstrip()}\n\n</{match[1]}>\n\n", ask.question, 1))
    return closed


def top_tokens(fields: Mapping[str, object]) -> tuple[TokenLogprob, ...]:
    """Return the recorded likeliest tokens of a reply."""
    top = fields.get("top")
    if not isinstance(top, list):
        return ()
    return tuple(TokenLogprob(int(t["token"]), str(t["text"]), float(t["logprob"])) for t in top)


def position_figures(
    reference: NDArray[np.float32], candidate: NDArray[np.float32], opening: Sequence[int]
) -> dict[str, float]:
    """Compare two first-position distributions.

    Args:
        reference: natural-log probabilities.
        candidate: the same of the other arm.
        opening: token ids that open a refusal.

    Shapes:
        reference, candidate: float32 [V].

    Returns:
        kl_nats, and the probability of the opening set on each arm.
    """
    ids = list(opening)
    return {
        "kl_nats": float(kl_nats(reference, candidate)),
        "reference_mass": float(np.exp(reference[ids].astype(np.float64)).sum()),
        "candidate_mass": float(np.exp(candidate[ids].astype(np.float64)).sum()),
    }


def pair(
    key: str,
    suite: str,
    reference: Mapping[str, object],
    candidate: Mapping[str, object],
    figures: Mapping[str, float] | None,
    *,
    reference_refused: bool,
) -> FirstTokenPair:
    """Put one prompt's first position on both arms together.

    Args:
        key: the prompt's key.
        suite: its suite.
        reference: the recorded reply of the reference.
        candidate: the recorded reply of the candidate.
        figures: from `position_figures`, where the engine had full distributions.
        reference_refused: whether the reference's whole reply was judged refused.
    """
    figures = figures or {}
    return FirstTokenPair(
        id=key,
        suite=suite,
        reference_top=top_tokens(reference),
        candidate_top=top_tokens(candidate),
        reference_refused=reference_refused,
        kl_nats=figures.get("kl_nats"),
        reference_opening_mass=figures.get("reference_mass"),
        candidate_opening_mass=figures.get("candidate_mass"),
    )
