"""How strongly a direction was taken out of a matrix: v^T (checkpoint - reference) against v^T reference.

Ablation of a unit direction v with strength t is W' = W - t v v^T W. Whatever else happened to the
matrix (rounding, fine-tuning), -v^T (W' - W) (v^T W)^T / ||v^T W||^2 estimates t, with a small error even
where a weight has two bits: the noise of thousands of weights averages out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qaudit.weights.low_rank import Columns, Spectrum
from qaudit.weights.matrix_pairs import MatrixPair

NULL_DIRECTIONS = 32
# a direction counts as taken out from this strength on, above that of random directions
LEAST_STRENGTH = 0.1
LEAST_COSINE = 0.8
REFINEMENTS = 2


@dataclass(frozen=True, slots=True)
class NullStrength:
    """What the filter says of directions that nobody chose: median and standard deviation.

    The median is not zero: few bits shrink all weights a little.
    """

    median: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Consistency:
    """Whether the strongest changes of a matrix are ablations.

    Attributes:
        cosines: [K] between the inputs that a change reads and those that the reference's matrix sends to
            the same output direction: near 1 for an ablation, near 0 for a fine-tune or an adapter.
        strengths: [K], the matched filter's.
        directions: of unit length, [O, K], the changes' outputs.
    """

    cosines: Columns
    strengths: Columns
    directions: Columns


def strengths(pair: MatrixPair, directions: Columns) -> Columns:
    """Return the strength with which each direction was taken out: float64 [K].

    Shapes:
        directions [O, K], of unit length. One that the reference never writes gives 0.
    """
    written, changed = _through(pair, directions)
    size = np.square(written).sum(axis=0)
    found: Columns = -(written * changed).sum(axis=0) / np.where(size > 0, size, np.inf)
    return found


def null_strength(pair: MatrixPair, seed: int = 0) -> NullStrength:
    """Return what the filter says of random directions."""
    drawn = np.random.default_rng(seed).standard_normal((pair.shape[0], NULL_DIRECTIONS))
    found = strengths(pair, drawn / np.linalg.norm(drawn, axis=0))
    return NullStrength(float(np.median(found)), float(found.std()))


def consistency(pair: MatrixPair, spectrum: Spectrum) -> Consistency:
    """Compare each strong change with the ablation of its own output direction.

    Some tools ablate the matrix whose rows are divided by their lengths, others the matrix itself: both
    are tried, and the better one counts.
    """
    lengths = spectrum.lengths[:, None]
    # a change p q^T of divided rows is (lengths p) q^T of the matrix
    plain = spectrum.left * lengths
    plain = plain / np.linalg.norm(plain, axis=0)
    written, changed = _through(pair, np.hstack([plain, spectrum.left / lengths]))
    size = np.linalg.norm(written, axis=0)
    both = np.abs((np.tile(spectrum.right, 2) * written).sum(axis=0)) / np.where(size > 0, size, np.inf)
    count = plain.shape[1]
    square = np.square(size[:count])
    return Consistency(
        cosines=np.maximum(both[:count], both[count:]),
        strengths=-(written * changed).sum(axis=0)[:count] / np.where(square > 0, square, np.inf),
        directions=plain,
    )


def refined(pairs: Sequence[MatrixPair], direction: Columns, rounds: int = REFINEMENTS) -> Columns:
    """Return the direction that the changes of several matrices agree on, by alternating least squares.

    Each round asks: if v was taken out of each matrix W, the change is -t v (W^T v)^T; which v fits best?

    Args:
        pairs: matrices with the same outputs.
        direction: a first guess, of unit length [O].
        rounds: two passes over the rows each.
    """
    for _ in range(rounds):
        total = np.zeros_like(direction)
        for pair in pairs:
            read = _through(pair, direction[:, None])[0][:, 0]
            for rows, reference, candidate in pair.blocks():
                total[rows] -= (candidate - reference).astype(np.float64) @ read
        length = float(np.linalg.norm(total))
        if not length:
            return direction
        direction = total / length
    return direction


def _through(pair: MatrixPair, directions: Columns) -> tuple[Columns, Columns]:
    """Return directions^T reference and directions^T change, transposed: [I, K] each."""
    written = np.zeros((pair.shape[1], directions.shape[1]))
    changed = np.zeros_like(written)
    for rows, reference, candidate in pair.blocks():
        written += reference.T.astype(np.float64) @ directions[rows]
        changed += (candidate - reference).T.astype(np.float64) @ directions[rows]
    return written, changed
