"""The quality probe: multiple-choice questions and neutral passages."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qaudit.engines.protocol import ChoiceAsk, PassageAsk
from qaudit.metrics.divergence import agreeing, kl_nats
from qaudit.probes.refusal import items_of
from qaudit.values import Suite

# full distributions of one arm's passages together; they wait on disk for the other arm
READING_BYTES = 256 << 20
FEWEST_POSITIONS = 4


def choice_asks(suites: Sequence[Suite], prompts: Mapping[str, str]) -> list[ChoiceAsk]:
    """Return the multiple-choice questions, rendered, with the choices as replies."""
    return [
        ChoiceAsk(key, prompts[key], item.choices)
        for key, _, item in items_of(suites, "choose")
        if key in prompts
    ]


def passage_asks(suites: Sequence[Suite], vocabulary: int) -> list[PassageAsk]:
    """Return the passages, each with as many positions as the space for distributions allows.

    Args:
        suites: suites of any kind; only "read" suites count.
        vocabulary: number of tokens V of the engine.
    """
    passages = [(key, item.turns[0]) for key, _, item in items_of(suites, "read")]
    if not passages:
        return []
    positions = max(FEWEST_POSITIONS, READING_BYTES // (4 * vocabulary * len(passages)))
    return [PassageAsk(key, text, positions) for key, text in passages]


def reading_figures(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> dict[str, object]:
    """Compare two arms' distributions over the same positions of a passage.

    Shapes:
        reference, candidate: float32 [P, V].

    Returns:
        kl_nats: list of P figures; agreed: positions whose likeliest token is the same.
    """
    return {
        "kl_nats": [float(x) for x in kl_nats(reference, candidate)],
        "agreed": int(agreeing(reference, candidate).sum()),
    }
