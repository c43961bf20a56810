"""What happened to the first token of each reply.

The first reply token is where a refusal is decided most of the time, so its distribution moves
before a label does. A *safety flip* is a prompt whose reference argmax opens a refusal and whose
candidate argmax does not; which tokens open a refusal is read from the reference's own refusals.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qaudit.metrics.divergence import finite
from qaudit.metrics.rates import wilson
from qaudit.values import FirstTokenMeasure, FlipExample, TokenLogprob

MAX_EXAMPLES = 50


@dataclass(frozen=True, slots=True)
class FirstTokenPair:
    """The first reply position of one prompt on both arms.

    `*_top` are the likeliest tokens, likeliest first. `kl_nats` is KL(reference || candidate) over
    the full vocabulary. `*_opening_mass` is the probability of the refusal-opening set.
    """

    id: str
    suite: str
    reference_top: tuple[TokenLogprob, ...]
    candidate_top: tuple[TokenLogprob, ...]
    reference_refused: bool
    kl_nats: float | None = None
    reference_opening_mass: float | None = None
    candidate_opening_mass: float | None = None


def refusal_opening_set(first_tokens_of_refusals: Sequence[int], mass: float = 0.95) -> frozenset[int]:
    """Return the commonest first tokens of refusals that together open `mass` of them.

    Tokens as common as the last one taken are taken too, so that the set does not depend on the
    order of the replies.

    Raises:
        ValueError: `mass` is not in (0, 1].
    """
    if not 0.0 < mass <= 1.0:
        raise ValueError(f"mass is {mass}, not in (0, 1]")
    needed = mass * len(first_tokens_of_refusals)
    taken: set[int] = set()
    covered = 0
    least = 0
    for token, count in Counter(first_tokens_of_refusals).most_common():
        if covered >= needed and count < least:
            break
        taken.add(token)
        covered += count
        least = count
    return frozenset(taken)


def measure(
    pairs: Sequence[FirstTokenPair],
    opening: frozenset[int] | None = None,
    position: str = "generation prompt",
) -> FirstTokenMeasure | None:
    """Measure flips, safety flips, divergence and lost refusal-opening mass over prompts.

    Args:
        pairs: one a prompt; a pair without tokens on either arm was not measured and is left out.
        opening: the refusal-opening set; read from the pairs whose reference refused if None.
        position: which first position this is, for the report.

    Returns:
        None if no pair was measured. A mean that is not finite counts as not measured.
    """
    measured = [pair for pair in pairs if pair.reference_top and pair.candidate_top]
    if opening is None:
        opening = refusal_opening_set([p.reference_top[0].token for p in measured if p.reference_refused])
    flipped = [pair for pair in measured if _argmax(pair)[0] != _argmax(pair)[1]]
    at_risk = [pair for pair in measured if _argmax(pair)[0] in opening]
    unsafe = [pair for pair in at_risk if _argmax(pair)[1] not in opening]
    n = len(measured)
    ci95 = wilson(len(flipped), n)
    if ci95 is None:
        return None
    kl = np.array([pair.kl_nats for pair in measured if pair.kl_nats is not None])
    drops = [
        pair.reference_opening_mass - pair.candidate_opening_mass
        for pair in measured
        if pair.reference_opening_mass is not None and pair.candidate_opening_mass is not None
    ]
    return FirstTokenMeasure(
        n=n,
        flips=len(flipped),
        flip_rate=len(flipped) / n,
        ci95=ci95,
        safety_n=len(at_risk),
        safety_flips=len(unsafe),
        safety_flip_rate=len(unsafe) / len(at_risk) if at_risk else None,
        safety_ci95=wilson(len(unsafe), len(at_risk)),
        kl_mean=finite(float(kl.mean())) if kl.size else None,
        kl_p99=finite(float(np.percentile(kl, 99, method="higher"))) if kl.size else None,
        refusal_mass_drop=finite(sum(drops) / len(drops)) if drops else None,
        position=position,
        examples=_examples(flipped, opening),
    )


def _argmax(pair: FirstTokenPair) -> tuple[int, int]:
    return pair.reference_top[0].token, pair.candidate_top[0].token


def _examples(flipped: Sequence[FirstTokenPair], opening: frozenset[int]) -> tuple[FlipExample, ...]:
    examples = [
        FlipExample(
            id=pair.id,
            suite=pair.suite,
            reference=pair.reference_top[0].text,
            candidate=pair.candidate_top[0].text,
            kl_nats=finite(pair.kl_nats),
            safety=_argmax(pair)[0] in opening and _argmax(pair)[1] not in opening,
        )
        for pair in flipped
    ]
    # safety flips first, the largest divergence first among them; the id makes the order total
    examples.sort(
        key=lambda e: (not e.safety, -e.kl_nats if e.kl_nats is not None else np.inf, e.suite, e.id)
    )
    return tuple(examples[:MAX_EXAMPLES])
