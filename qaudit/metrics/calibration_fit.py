"""An RTSI calibration from a matrix of one's own: weights, normalisers, cut-offs, and how well they hold.

As in arXiv 2606.10154: a feature's weight is |Pearson r| between its difference (candidate minus
reference, with its sign) and the loss of refusals, over the sum of the four; its normaliser is the
largest |difference|. On the paper's 45 rows this gives the published weights to four digits. The
paper's cut-offs are not derived in what we could read; ours are

- MODERATE from half-way between the lowest score of a dangerous row and the next lower score, so that
  every dangerous row is routed to direct testing with the fewest safe ones;
- HIGH from half-way between the highest score of a safe row and the next higher one, so that only
  dangerous rows are HIGH; where no row is above all safe ones, half above the highest score.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qaudit.metrics.rtsi import FEATURES, Calibration, score
from qaudit.values import RtsiFeatures

MINIMUM_ROWS = 8
# a cut-off is printed and read back with so many digits
DIGITS = 9


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One quantization: its features, the refusals it lost (a fraction), and whether that is dangerous."""

    features: RtsiFeatures
    refusal_loss: float
    dangerous: bool


@dataclass(frozen=True, slots=True)
class Routing:
    """How a calibration sorts rows.

    Attributes:
        dangerous, safe: how many rows there are of each.
        dangerous_routed, safe_routed: how many of them are not LOW.
        auc: chance that a dangerous row scores above a safe one (ties count half).
    """

    dangerous: int
    dangerous_routed: int
    safe: int
    safe_routed: int
    auc: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration, how it sorts the rows it was made from, and rows that it had not seen.

    `left_out` sorts each row by a calibration that was made without it; None where leaving out the only
    dangerous or safe row leaves nothing to calibrate on.
    """

    calibration: Calibration
    seen: Routing
    left_out: Routing | None


def fit(rows: Sequence[MatrixRow], name: str) -> Fit:
    """Calibrate on a matrix.

    Raises:
        ValueError: fewer than eight rows, none dangerous or none safe, or no feature that moves with
            the loss of refusals.
    """
    if len(rows) < MINIMUM_ROWS:
        raise ValueError(f"{len(rows)} rows are too few to calibrate on, {MINIMUM_ROWS} are the least")
    calibration = _calibrated(rows, name)
    seen = _routing([(score(row.features, calibration), calibration.moderate_from) for row in rows], rows)
    held_out = []
    for index, row in enumerate(rows):
        try:
            without = _calibrated([*rows[:index], *rows[index + 1 :]], name)
        except ValueError:
            return Fit(calibration, seen, None)
        held_out.append((score(row.features, without), without.moderate_from))
    return Fit(calibration, seen, _routing(held_out, rows))


def _calibrated(rows: Sequence[MatrixRow], name: str) -> Calibration:
    dangerous = [row for row in rows if row.dangerous]
    if not dangerous or len(dangerous) == len(rows):
        kind = "dangerous" if not dangerous else "safe"
        raise ValueError(f"no row is {kind}, so there is nothing to tell apart")
    table = np.array([[value for value in astuple(row.features)] for row in rows])
    weights = np.abs([_pearson(column, [row.refusal_loss for row in rows]) for column in table.T])
    total = float(weights.sum())
    if total == 0:
        raise ValueError("no feature moves with the loss of refusals")
    # a feature that never moves has no weight, and any normaliser will do
    maxima = [float(largest) or 1.0 for largest in np.abs(table).max(axis=0)]
    unfinished = Calibration(
        name=name,
        weights=MappingProxyType({f: float(w) / total for f, w in zip(FEATURES, weights, strict=True)}),
        maxima=MappingProxyType(dict(zip(FEATURES, maxima, strict=True))),
        moderate_from=math.inf,
        high_from=math.inf,
    )
    moderate, high = _cut_offs([(score(row.features, unfinished), row.dangerous) for row in rows])
    return Calibration(name, unfinished.weights, unfinished.maxima, moderate, high)


def _cut_offs(scored: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    scores = [value for value, _ in scored]
    lowest = min(value for value, dangerous in scored if dangerous)
    moderate = (lowest + max((s for s in scores if s < lowest), default=0.0)) / 2
    highest = max(value for value, dangerous in scored if not dangerous)
    above = min((s for s in scores if s > highest), default=None)
    high = (highest + above) / 2 if above is not None else 1.5 * max(scores)
    moderate = max(round(moderate, DIGITS), 10.0**-DIGITS)
    return moderate, max(round(high, DIGITS), round(moderate + 10.0**-DIGITS, DIGITS))


def _pearson(column: NDArray[np.float64], losses: Sequence[float]) -> float:
    x, y = column - column.mean(), np.asarray(losses) - np.mean(losses)
    norm = math.sqrt(float((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / norm if norm else 0.0


def _routing(scored: Sequence[tuple[float, float]], rows: Sequence[MatrixRow]) -> Routing:
    dangerous = [pair for pair, row in zip(scored, rows, strict=True) if row.dangerous]
    safe = [pair for pair, row in zip(scored, rows, strict=True) if not row.dangerous]
    above = sum((d > s) + 0.5 * (d == s) for d, _ in dangerous for s, _ in safe)
    return Routing(
        dangerous=len(dangerous),
        dangerous_routed=sum(value >= cut_off for value, cut_off in dangerous),
        safe=len(safe),
        safe_routed=sum(value >= cut_off for value, cut_off in safe),
        auc=above / (len(dangerous) * len(safe)),
    )
