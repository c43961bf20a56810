"""What was done to the matrices that turn tokens into the residual stream and back.

A row of the embeddings, or of the output matrix, is a vector of the residual stream. Taking a unit
direction v out of it is E' = E - t (E v) v^T: what an ablation does to the columns of a writer, it does
here to the rows (Arditi et al., arXiv 2406.11717, edit the embeddings too).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from qaudit.weights.low_rank import Columns, row_lengths, top_spectrum
from qaudit.weights.matched_filter import LEAST_COSINE, LEAST_STRENGTH, NULL_DIRECTIONS, NullStrength
from qaudit.weights.matrix_pairs import EMBEDDINGS, OUTPUT_MATRIX, MatrixPair
from qaudit.weights.residuals import EXCESS, Residual, measure_residual
from qaudit.weights.rounding import RoundingGrid

TOKEN_ROLES = {EMBEDDINGS: "the embeddings", OUTPUT_MATRIX: "the output matrix"}
# of the deviation among random directions, before a direction that others named counts
DEVIATIONS = 6.0


@dataclass(frozen=True, slots=True)
class TokenEvidence:
    """What one of the two shows.

    Attributes:
        residual: distance from the reference, and what rounding explains of it.
        edge_ratio: the strongest change over the edge of noise.
        cosine: between the change along the direction and what an ablation of it would be.
        rest_excess: distance over that of rounding, without the ablations; None where that is not known.
        strength: with which the direction was taken out, above what random directions give.
        own: whether this matrix alone, without the layers' direction, shows that one was taken out.
        directions: taken out, orthonormal [I, M]; empty for none.
    """

    name: str
    role: str
    residual: Residual
    edge_ratio: float
    cosine: float
    rest_excess: float | None
    strength: float
    own: bool
    directions: Columns = field(repr=False)

    @property
    def ablated(self) -> bool:
        """Whether a direction was taken out of it."""
        return bool(self.directions.shape[1])

    @property
    def only_rounded(self) -> bool:
        """Whether rounding explains all of it but the ablations."""
        return self.rest_excess is not None and self.rest_excess < EXCESS


@dataclass(frozen=True, slots=True)
class _Along:
    """A matrix and its change along some directions [I, K].

    Attributes:
        strengths: with which each was taken out, [K].
        cosines: of the change that an ablation of each would be with the spectrum's own, [K].
        energy: of the row-normalised change along each, [K].
    """

    strengths: Columns
    cosines: Columns
    energy: Columns


def token_evidence(
    pair: MatrixPair, grid: RoundingGrid | None, layers_direction: Columns | None, seed: int = 0
) -> TokenEvidence:
    """Look at the embeddings or the output matrix.

    Args:
        pair: the checkpoint's and the reference's.
        grid: how the checkpoint stores it; None if that is not known.
        layers_direction: [I] that was taken out of the layers; None for none.
        seed: of random directions.

    Raises:
        InputError: a weight is not finite.
    """
    residual, spectrum = measure_residual(pair, grid), top_spectrum(pair, seed=seed)
    null = _null(pair, seed)
    found = _along(pair, spectrum.right, spectrum.left)
    noise = spectrum.values[0] / max(spectrum.edge_ratio, 1e-9)
    above = found.strengths - null.median
    own = (
        (spectrum.values > noise)
        & (found.cosines >= LEAST_COSINE)
        & (np.abs(above) >= max(LEAST_STRENGTH, DEVIATIONS * null.deviation))
    )
    taken: list[Columns] = list(spectrum.right[:, own].T)
    cut = float(np.square(spectrum.values[own]).sum())
    place = int(np.argmax(own)) if own.any() else int(np.argmax(found.cosines))
    strength, cosine = float(above[place]) if own.any() else 0.0, float(found.cosines[place])
    if layers_direction is not None and len(layers_direction) == pair.shape[1]:
        theirs = _along(pair, layers_direction[:, None], None)
        along = float(theirs.strengths[0]) - null.median
        if not own.any():
            strength, cosine = along, float(theirs.cosines[0])
        if not own.any() and abs(along) >= max(LEAST_STRENGTH, DEVIATIONS * null.deviation):
            taken, cut = [layers_direction], float(theirs.energy[0])
    directions = np.linalg.qr(np.stack(taken, axis=1))[0] if taken else np.zeros((pair.shape[1], 0))
    left = np.sqrt(max(1 - cut / spectrum.energy, 0.0)) if spectrum.energy else 1.0
    excess = residual.excess
    return TokenEvidence(
        pair.name, pair.role, residual, spectrum.edge_ratio, cosine,
        None if excess is None else float(excess * left), strength, bool(own.any()), directions,
    )  # fmt: skip


def told_of_tokens(found: Sequence[TokenEvidence]) -> str:
    """Return in words what a direction was taken out of, with its strength; empty for none."""
    hit = [each for each in found if each.ablated]
    return " and ".join(f"{TOKEN_ROLES[each.role]} (strength {each.strength:.2f})" for each in hit)


def _along(pair: MatrixPair, directions: Columns, left: Columns | None) -> _Along:
    """Measure a change along directions; `left` are its own outputs [O, K], computed where they are None."""
    count = directions.shape[1]
    inner, size, dot, length, energy, square = (np.zeros(count) for _ in range(6))
    for rows, reference, candidate in pair.blocks():
        lengths = row_lengths(reference)[:, None]
        read = reference.astype(np.float64) @ directions
        changed = (candidate - reference).astype(np.float64) @ directions
        ours = changed / lengths if left is None else left[rows]
        inner -= (read * changed).sum(axis=0)
        size += np.square(read).sum(axis=0)
        dot += (ours * read / lengths).sum(axis=0)
        length += np.square(read / lengths).sum(axis=0)
        square += np.square(ours).sum(axis=0)
        energy += np.square(changed / lengths).sum(axis=0)
    product = np.sqrt(length * square)
    return _Along(
        inner / np.where(size > 0, size, np.inf), np.abs(dot) / np.where(product > 0, product, np.inf), energy
    )


def _null(pair: MatrixPair, seed: int) -> NullStrength:
    drawn = np.random.default_rng(seed).standard_normal((pair.shape[1], NULL_DIRECTIONS))
    found = _along(pair, drawn / np.linalg.norm(drawn, axis=0), None).strengths
    return NullStrength(float(np.median(found)), float(found.std()))
