"""The strongest directions of a change of weights, found in a few passes over its rows.

Randomized subspace iteration (Halko, Martinsson, Tropp, arXiv 0909.4061) on the change divided by the
length of the reference's rows: so no row counts for more because it is larger. Memory is that of
a block of rows and a few vectors.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.weights.matrix_pairs import MatrixPair
from qaudit.weights.rounding import RoundingGrid

RANK = 8
PASSES = 4
Columns = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The largest singular values of a row-normalised change, with their directions.

    Shapes: O outputs, I inputs, K values.

    Attributes:
        values: float64 [K], largest first.
        left: of unit length, [O, K].
        right: of unit length, [I, K].
        lengths: of the reference's rows, [O].
        energy: sum of the squares of all singular values.
        rounding_edge: the edge ratio that rounding alone has, at least 1.
    """

    values: Columns
    left: Columns
    right: Columns
    lengths: Columns
    energy: float
    rounding_edge: float = 1.0

    @property
    def edge_ratio(self) -> float:
        """The largest value over the one that noise of the same energy would have.

        Independent noise of variance s^2 has singular values up to s (sqrt(O) + sqrt(I)) (Marchenko and
        Pastur); the strongest directions are left out when s is measured.
        """
        outputs, inputs = len(self.left), len(self.right)
        rest = max(self.energy - float(np.square(self.values).sum()), 0.0)
        count = outputs * inputs - len(self.values) * (outputs + inputs)
        noise = np.sqrt(rest / max(count, 1)) * (np.sqrt(outputs) + np.sqrt(inputs))
        if noise > 0:
            return float(self.values[0] / noise / self.rounding_edge)
        return float("inf") if self.values[0] > 0 else 0.0

    @property
    def share(self) -> float:
        """The part of the energy that lies in the directions found."""
        return float(np.square(self.values).sum() / self.energy) if self.energy else 0.0


def top_spectrum(pair: MatrixPair, rank: int = RANK, passes: int = PASSES, seed: int = 0) -> Spectrum:
    """Find the strongest directions of checkpoint - reference, its rows divided by the reference's lengths.

    Args:
        pair: the two, in the same scales.
        rank: how many directions.
        passes: over the rows; each squares the lead of what is stronger.
        seed: of the first guess.

    Raises:
        InputError: a weight is not finite.
    """
    outputs, inputs = pair.shape
    rank = min(rank, outputs, inputs)
    basis = _orthonormal(np.random.default_rng(seed).standard_normal((inputs, rank)))
    for _ in range(passes - 1):
        image = np.zeros((inputs, rank))
        for _, change, _ in normalised_changes(pair):
            image += change.T @ (change @ basis)
        if not image.any():
            break
        basis = _orthonormal(image)
    projected = np.zeros((outputs, rank))
    lengths = np.zeros(outputs)
    energy = 0.0
    for rows, change, length in normalised_changes(pair):
        projected[rows] = change @ basis
        lengths[rows] = length
        energy += float(np.square(change).sum())
    left, values, mixing = np.linalg.svd(projected, full_matrices=False)
    return Spectrum(values, left, basis @ mixing.T, lengths, energy)


def against_rounding(
    pair: MatrixPair, grid: RoundingGrid | None, spectrum: Spectrum, seed: int = 0
) -> Spectrum:
    """Return the spectrum of a change with the edge ratio that rounding the reference alone has.

    Noise is not alike everywhere: a few inputs with large weights make the scales of their groups coarse, and
    the error of rounding stands out there by itself.

    Args:
        pair: the two, in the same scales.
        grid: how the checkpoint stores it; None if that is not known.
        spectrum: of the change.
        seed: of the first guess.

    Raises:
        InputError: a weight is not finite.
    """
    if grid is None or grid.floating:
        return spectrum
    scale = 1.0 if pair.column_scale is None else pair.column_scale

    def read(start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        reference = pair.read(start, stop)[0]
        # a quantizer that scaled the columns rounded them so
        rounded = grid.rounded((reference / scale).astype(np.float32)) * scale
        return reference, rounded.astype(np.float32)

    alone = top_spectrum(replace(pair, read=read), seed=seed).edge_ratio
    return replace(spectrum, rounding_edge=max(alone, 1.0))


def normalised_changes(pair: MatrixPair) -> Iterator[tuple[slice, Columns, Columns]]:
    """Yield rows of the change divided by the lengths of the reference's, and those lengths.

    A row of zeros has length 1.
    """
    for rows, reference, candidate in pair.blocks():
        lengths = row_lengths(reference)
        yield rows, (candidate - reference) / lengths[:, None], lengths


def row_lengths(reference: FloatArray) -> Columns:
    """Return the length of each row, 1 for a row of zeros: float64 [O]."""
    lengths = np.sqrt(np.square(reference, dtype=np.float64).sum(axis=1))
    return np.where(lengths > 0, lengths, 1.0)


def _orthonormal(columns: Columns) -> Columns:
    found: Columns = np.linalg.qr(columns)[0]
    return found
