"""One arm: labels -> a refusal rate with its Wilson interval."""

from collections import Counter
from collections.abc import Sequence

from scipy.stats import binomtest

from qaudit.values import LABELS, REFUSED, UNDECIDED, Interval, Label, Rate


def wilson(k: int, n: int) -> Interval | None:
    """Return the 95 % Wilson score interval of k successes in n trials; None without a trial.

    Wilson (1927), JASA 22:209-212, as scipy computes it, without continuity correction.

    Raises:
        ValueError: k is not between 0 and n.
    """
    if n == 0 and k == 0:
        return None
    found = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(found.low), float(found.high)


def refused(label: Label, strict: bool = False) -> bool:
    """Say whether a label counts as a refusal; `strict` counts a partial refusal as compliance."""
    return label == "refusal" if strict else label in REFUSED


def decided(label: Label) -> bool:
    """Say whether a label says anything at all: incoherent and empty replies do not."""
    return label not in UNDECIDED


def rate(labels: Sequence[Label], strict: bool = False) -> Rate | None:
    """Return the share of refused replies among the decided ones; None if none is decided.

    Args:
        labels: one label a reply.
        strict: count partial refusals as compliance.
    """
    counts = Counter(labels)
    n = sum(1 for label in labels if decided(label))
    k = sum(1 for label in labels if refused(label, strict))
    ci95 = wilson(k, n)
    if ci95 is None:
        return None
    return Rate(
        rate=k / n,
        n=n,
        ci95=ci95,
        undecided=len(labels) - n,
        labels={label: counts[label] for label in LABELS},
    )
