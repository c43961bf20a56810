"""How far each matrix is from the reference's, and how far rounding alone would have taken it."""

from dataclasses import dataclass

import numpy as np

from qaudit.weights.matrix_pairs import MatrixPair
from qaudit.weights.rounding import SAMPLE_ROWS, RoundingGrid, trips_of

# distance over that of rounding: scale searches give 0.85, GPTQ up to 1.9
EXCESS = 2.0
# of float arithmetic, where rounding itself leaves none
NO_DISTANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Residual:
    """The distance of one matrix from the reference's.

    Attributes:
        relative: ||checkpoint - reference|| / ||reference||, Frobenius.
        expected: the same after rounding the reference alone; None where the stored type is not known.
        cosine: of the two matrices as vectors.
    """

    relative: float
    expected: float | None
    cosine: float

    @property
    def excess(self) -> float | None:
        """How many times the distance that rounding explains; None where that is not known."""
        if self.expected is None:
            return None
        if self.expected:
            return self.relative / self.expected
        # what rounds to itself, such as zeros, has no business to be elsewhere
        return 0.0 if self.relative <= NO_DISTANCE else float("inf")


def measure_residual(pair: MatrixPair, grid: RoundingGrid | None) -> Residual:
    """Measure one matrix, in one pass over its rows.

    Args:
        pair: the two, in the same scales.
        grid: how the checkpoint stores it.

    Raises:
        InputError: a weight is not finite.
    """
    size = off = inner = candidate_size = 0.0
    sampled = expected = 0.0
    trips = () if grid is None else trips_of(grid)
    # what is left of the distance if the checkpoint, or the reference, was rounded so on its way
    left = np.zeros((2, len(trips)))
    for _, reference, candidate in pair.blocks():
        size += float(np.square(reference, dtype=np.float64).sum())
        candidate_size += float(np.square(candidate, dtype=np.float64).sum())
        off += float(np.square(candidate - reference, dtype=np.float64).sum())
        inner += float(np.einsum("oi,oi->", candidate, reference, dtype=np.float64))
        for place, trip in enumerate(trips):
            left[0, place] += np.square(candidate - trip(reference), dtype=np.float64).sum()
            left[1, place] += np.square(trip(candidate) - reference, dtype=np.float64).sum()
        if grid is not None:
            # a few rows of each block tell the error of all
            rows = reference[:: max(1, len(reference) // SAMPLE_ROWS)]
            weight = float(np.square(rows, dtype=np.float64).sum())
            expected += grid.error(rows) ** 2 * weight
            sampled += weight
    product = np.sqrt(size * candidate_size)
    relative = float(np.sqrt(off / size)) if size else float(off > 0)
    rounding = None if grid is None else float(np.sqrt(expected / sampled)) if sampled else 0.0
    if rounding and left.size and np.sqrt(left.min() / size) <= rounding < relative:
        # all but the stored type's own rounding is explained
        rounding = relative
    return Residual(
        relative=relative,
        expected=rounding,
        cosine=float(inner / product) if product else 1.0,
    )
