"""A change in few directions that a quantizer makes which mends outputs, told apart from an adapter.

GPTQ (arXiv 2210.17323) undoes the error of each input by moving the weights of the inputs that come after
it. Where a few inputs are much larger than all others, as in most models, the errors of their columns are
spread over the whole matrix: the change has few directions, and the outputs' side of each is a column's own
rounding error, so that those columns have hardly anything beside it. Under an adapter, however strong, every
column has its own rounding beside the adapter's directions. A change as the first may still have been made so
by hand; without the inputs nobody can tell.
"""

import numpy as np
from numpy.typing import NDArray

from qaudit.weights.low_rank import RANK, Spectrum, normalised_changes
from qaudit.weights.matrix_pairs import MatrixPair

# a column of which so much less than of most is left beside the strongest directions is nothing but them:
# with inputs 10 to 300 times as large as the others it is 0.02 to 0.3, under adapters 0.87 and more
STILL = 0.6
MOST_COLUMNS = 2 * RANK
# of the energy of the strongest directions: GPTQ with one to four large inputs has 0.9 to 1
EXPLAINED = 0.8


def explained_by_columns(pair: MatrixPair, spectrum: Spectrum) -> float:
    """Return which part of the strongest directions lies within columns that are nothing but them, 0 to 1.

    Args:
        pair: the two, in the same scales.
        spectrum: of the change.

    Raises:
        InputError: a weight is not finite.
    """
    strong = standing_out(spectrum)
    if not strong.any():
        return 0.0
    left = spectrum.left[:, strong]
    along = np.zeros((pair.shape[1], left.shape[1]))
    squares = np.zeros(pair.shape[1])
    for rows, change, _ in normalised_changes(pair):
        along += change.T @ left[rows]
        squares += np.square(change).sum(axis=0)
    beside = np.sqrt(np.maximum(squares - np.square(along).sum(axis=1), 0))
    still = np.flatnonzero((beside < STILL * np.median(beside)) & (squares > 0))
    still = still[np.argsort(beside[still], kind="stable")][:MOST_COLUMNS]
    if not still.size:
        return 0.0
    columns = np.vstack([change[:, still] for _, change, _ in normalised_changes(pair)])
    basis = np.linalg.qr(columns / np.sqrt(squares[still]))[0]
    wanted = left * spectrum.values[strong]
    return float(np.square(basis.T @ wanted).sum() / np.square(wanted).sum())


def standing_out(spectrum: Spectrum) -> NDArray[np.bool_]:
    """Return which of the directions found are stronger than noise: booleans [K]."""
    edge = spectrum.edge_ratio * spectrum.rounding_edge
    stronger: NDArray[np.bool_] = spectrum.values * edge > spectrum.values[0]
    return stronger
