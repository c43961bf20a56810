"""Norms and biases beside the reference's: no quantizer changes them but to fold a scale away.

A steering vector can be baked into a bias, and a norm retuned, with every matrix left as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.weight_values import TensorState
from qaudit.weights.folding import (
    CHAINS,
    READERS,
    SAME_NORM,
    can_be_folded,
    norms_read,
    norms_undone,
    row_scale,
)
from qaudit.weights.matrix_pairs import MatrixPair, role_of

BIAS = ".bias"
# a scale of rows is estimated from quantized weights
SAME_SCALED = 0.05


@dataclass(frozen=True, slots=True)
class VectorEvidence:
    """What one vector shows.

    Attributes:
        distance: ||checkpoint - reference|| / ||reference||; of a bias whose module's scale was folded, with
            that undone.
        state: `folded` for a norm whose scale stands in the matrices that read it.
    """

    distance: float
    state: TensorState


def vector_evidence(pairs: Sequence[MatrixPair], norm_offset: float = 0.0) -> dict[str, VectorEvidence]:
    """Look at every vector that both have, by name.

    Args:
        pairs: of two checkpoints, as stored.
        norm_offset: what a runtime adds to stored norm weights.

    Raises:
        InputError: a weight is not finite.
    """
    by_name = norms_undone(pairs, norm_offset)
    held = {(pair.layer, pair.role) for pair in pairs if pair.shape[0] > 1}
    in_front = {norm.name for norm in norms_read(pairs).values()}
    found = {}
    for pair in pairs:
        if pair.shape[0] == 1:
            distance = _distance(pair, by_name, norm_offset)
            read = pair.name in in_front and any((pair.layer, role) in held for role in READERS[pair.role])
            if read:
                # a weight that is zero in one of them only cannot be told in columns
                read = can_be_folded(*(vector + norm_offset for vector in _vectors(pair)))
            found[pair.name] = VectorEvidence(distance, _state(pair.name, distance, read=read))
    return found


def _state(name: str, distance: float, *, read: bool) -> TensorState:
    if distance == 0:
        return "identical"
    if distance <= (SAME_SCALED if name.endswith(BIAS) and _foldable(name) else SAME_NORM):
        return "rounded"
    # what a changed norm does to the matrices that read it is measured there
    return "folded" if read else "changed"


def _foldable(bias: str) -> bool:
    role = role_of(bias.removesuffix(BIAS))
    return role in READERS or role in CHAINS


def _distance(pair: MatrixPair, by_name: Mapping[str, MatrixPair], norm_offset: float) -> float:
    reference, candidate = _vectors(pair)
    plain = _relative(reference, candidate)
    owner = by_name.get(pair.name.removesuffix(BIAS))
    if plain <= SAME_NORM or not pair.name.endswith(BIAS) or owner is None:
        return plain
    scale = _folded(owner, norm_offset)
    if scale is None or scale.shape != reference.shape:
        return plain
    return min(plain, _relative(reference * scale, candidate))


def _folded(owner: MatrixPair, norm_offset: float) -> FloatArray | None:
    """Return by what a quantizer multiplied the outputs of a module; None for nothing."""
    if owner.role in READERS and owner.shape[0] == 1:
        theirs, ours = (vector + norm_offset for vector in _vectors(owner))
        return np.where(theirs != 0, ours / np.where(theirs != 0, theirs, 1), 1).astype(np.float32)
    return row_scale(owner) if owner.role in CHAINS else None


def _vectors(pair: MatrixPair) -> tuple[FloatArray, FloatArray]:
    ((_, reference, candidate),) = pair.blocks()
    return reference[0], candidate[0]


def _relative(reference: FloatArray, candidate: FloatArray) -> float:
    size = float(np.linalg.norm(reference.astype(np.float64)))
    off = float(np.linalg.norm(candidate.astype(np.float64) - reference))
    return off / size if size else float(off > 0)
