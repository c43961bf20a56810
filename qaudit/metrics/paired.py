"""Both arms on the same prompts: flips, their interval, their test, what n could have shown.

The interval is Tango's score interval (Statistics in Medicine 1998, 17:891-908), not Newcombe's
method 10. Both behave at small n, but Newcombe's shrinks to a width of zero, or next to it, when
no pair is discordant, and an audit's commonest and most welcome result is exactly that. Tango's
then gives z^2 / (n + z^2) on either side, whatever the rates are. It also inverts the score test
whose value at zero is McNemar's statistic, so the interval and the test rest on the same pairs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv
from scipy.stats import binom, binomtest, norm

from qaudit.metrics.rates import decided, rate, refused
from qaudit.values import Change, Interval, Label, PairedRate

ALPHA = 0.05
POWER = 0.80
# the score diverges at the ends of (-1, 1); the search for the bounds stops just short of them
EDGE = 1.0 - 1e-12


def compare(reference: Sequence[Label], candidate: Sequence[Label]) -> PairedRate | None:
    """Compare the refusals of two arms over the same prompts, in the same order.

    Only pairs that are decided on both arms count for the difference; the two rates are each over
    their own arm's decided replies. None if no pair is decided.

    Raises:
        ValueError: the arms are not of one length.
    """
    before, after = rate(reference), rate(candidate)
    pairs = [(r, c) for r, c in zip(reference, candidate, strict=True) if decided(r) and decided(c)]
    if before is None or after is None or not pairs:
        return None
    n = len(pairs)
    lost, gained = _flips(pairs, strict=False)
    strict_lost, strict_gained = _flips(pairs, strict=True)
    return PairedRate(
        reference=before,
        candidate=after,
        delta=(gained - lost) / n,
        delta_ci95=tango(gained, lost, n),
        pairs=n,
        lost=lost,
        gained=gained,
        at_risk=sum(1 for r, _ in pairs if refused(r)),
        mcnemar_p=mcnemar(lost, gained),
        mde=minimum_detectable_fall(n, gained),
        strict_delta=(strict_gained - strict_lost) / n,
    )


def compare_categories(
    by_category: Mapping[str, tuple[Sequence[Label], Sequence[Label]]],
) -> dict[str, PairedRate]:
    """Compare each category, with p-values adjusted by Holm over the categories compared.

    A category without a decided pair is not in the answer: see `unmeasured`.
    """
    compared = {name: compare(*arms) for name, arms in by_category.items()}
    measured = {name: pair for name, pair in compared.items() if pair is not None}
    adjusted = holm([pair.mcnemar_p for pair in measured.values()])
    return {
        name: replace(pair, p_adjusted=p) for (name, pair), p in zip(measured.items(), adjusted, strict=True)
    }


def unmeasured(by_category: Mapping[str, tuple[Sequence[Label], Sequence[Label]]]) -> tuple[str, ...]:
    """Name the categories in which no pair is decided on both arms, which cannot be compared."""
    return tuple(name for name, arms in by_category.items() if compare(*arms) is None)


def coherence(reference: Sequence[Label], candidate: Sequence[Label]) -> Change | None:
    """Compare the share of replies that are neither incoherent nor empty, over all the pairs.

    Raises:
        ValueError: the arms are not of one length.
    """
    return paired_change([decided(label) for label in reference], [decided(label) for label in candidate])


def paired_change(reference: Sequence[bool], candidate: Sequence[bool]) -> Change | None:
    """Compare two proportions over the same things, with Tango's interval; None without a pair.

    Raises:
        ValueError: the arms are not of one length.
    """
    pairs = list(zip(reference, candidate, strict=True))
    if not pairs:
        return None
    n = len(pairs)
    gained = sum(1 for r, c in pairs if c and not r)
    lost = sum(1 for r, c in pairs if r and not c)
    return Change(
        reference=sum(reference) / n,
        candidate=sum(candidate) / n,
        delta=(gained - lost) / n,
        n=n,
        delta_ci95=tango(gained, lost, n),
    )


def tango(gained: int, lost: int, n: int, level: float = 0.95) -> Interval:
    """Return Tango's score interval of (gained - lost) / n for n pairs.

    Raises:
        ValueError: the counts are not those of a paired table.
    """
    if n < 1 or gained < 0 or lost < 0 or gained + lost > n:
        raise ValueError(f"not a paired table: {gained} gained, {lost} lost of {n}")
    z = float(norm.ppf((1.0 + level) / 2.0))
    estimate = (gained - lost) / n

    def bound(end: float, side: float) -> float:
        if estimate == end:
            return end
        # the score is 0 at the estimate and passes side * z on the way to the end
        return float(brentq(lambda d: tango_score(gained, lost, n, d) - side * z, estimate, end * EDGE))

    return bound(-1.0, 1.0), bound(1.0, -1.0)


def tango_score(gained: int, lost: int, n: int, delta: float) -> float:
    """Return Tango's score statistic of the hypothesis that the true difference is `delta`.

    The nuisance probability of a loss is its maximum-likelihood estimate under the hypothesis, the
    positive root of 2n q^2 + b q + c = 0 with b = -(gained + lost) + (2n - gained + lost) delta
    and c = -lost delta (1 - delta); the variance of the difference is then
    n (2q + delta (1 - delta)). Tango (1998), equations 24 to 26, with delta of opposite sign.
    """
    numerator = gained - lost - n * delta
    if numerator == 0.0:
        return 0.0
    b = -(gained + lost) + (2 * n - gained + lost) * delta
    c = -lost * delta * (1.0 - delta)
    root = math.sqrt(max(0.0, b * b - 8.0 * n * c))
    # two forms of the same root; each is free of cancellation for its sign of b
    q = (root - b) / (4.0 * n) if b <= 0.0 else -2.0 * c / (root + b)
    # rounding may leave the range in which every cell of the table has a probability
    q = min(max(q, 0.0, -delta), (1.0 - delta) / 2.0)
    variance = n * (2.0 * q + delta * (1.0 - delta))
    return math.copysign(math.inf, numerator) if variance <= 0.0 else numerator / math.sqrt(variance)


def mcnemar(lost: int, gained: int) -> float:
    """Return the exact two-sided McNemar p-value, binomial on the discordant pairs; 1 with none."""
    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def minimum_detectable_fall(n: int, gained: int = 0) -> float | None:
    """Return the smallest true fall that n pairs detect with 80 % power; None if none can be.

    "Detect" is the exact two-sided McNemar test at the 5 % level, with losses binomial over the n
    pairs and the gains held at the number observed (with none, a candidate that only loses: six
    losses are then significant). Exact given the gains; falls as n grows.
    """
    losses = np.arange(gained + 1, n - gained + 1)
    significant = losses[2.0 * binom.cdf(gained, losses + gained, 0.5) <= ALPHA]
    if not significant.size:
        return None
    needed = int(significant[0])
    # P(Binomial(n, p) >= k) is the regularised incomplete beta function I_p(k, n - k + 1)
    return float(betaincinv(needed, n - needed + 1, POWER)) - gained / n


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def _flips(pairs: Sequence[tuple[Label, Label]], strict: bool) -> tuple[int, int]:
    lost = sum(1 for r, c in pairs if refused(r, strict) and not refused(c, strict))
    gained = sum(1 for r, c in pairs if refused(c, strict) and not refused(r, strict))
    return lost, gained
