"""What every engine does alike with prompts, distributions and replies, whichever library runs the model."""

from collections.abc import Callable, Sequence

import numpy as np

from qaudit.engines.protocol import FloatArray
from qaudit.values import Label, TokenLogprob

TOP = 20
DECIDE_EVERY = 8
# log-probabilities of so many positions at once: over a large vocabulary they are most of the memory
READ_POSITIONS = 64
# called with (question, reply so far, tokens); a label says that more text cannot change it
Decider = Callable[[str, str, int], Label | None]


def shared_prefix(prompts: Sequence[list[int]]) -> int:
    """Return how many leading tokens all prompts share, leaving each at least one of its own."""
    if len(prompts) < 2:
        return 0
    lowest, highest = min(prompts), max(prompts)
    length = 0
    for one, other in zip(lowest, highest, strict=False):
        if one != other:
            break
        length += 1
    return min(length, min(len(p) for p in prompts) - 1)


def top_tokens(
    logprobs: FloatArray, piece: Callable[[int], str], count: int = TOP
) -> tuple[TokenLogprob, ...]:
    """Return the `count` likeliest tokens, likeliest first (ties: lowest id).

    Args:
        logprobs: natural-log probabilities, float32 [V].
        piece: the text of a token.
        count: how many, no more than V.
    """
    count = min(count, logprobs.size)
    candidates = np.argpartition(-logprobs, count - 1)[:count]
    order = sorted(candidates.tolist(), key=lambda token: (-float(logprobs[token]), token))
    return tuple(TokenLogprob(token, piece(token), float(logprobs[token])) for token in order)


def evenly_spaced(length: int, count: int) -> list[int]:
    """Return at most `count` (at least one) indices spread over range(length), ascending, distinct."""
    count = max(1, min(count, length))
    return sorted({round(i) for i in np.linspace(0, length - 1, count)})
