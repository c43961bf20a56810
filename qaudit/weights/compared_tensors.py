"""Everything that was compared, tensor by tensor, as the values that a document holds."""

from collections.abc import Mapping, Sequence

from qaudit.weight_values import ComparedTensor, TensorState
from qaudit.weights.ablation import SPIKE, MatrixEvidence, WeightEvidence
from qaudit.weights.findings import VECTOR_ROLE
from qaudit.weights.matrix_pairs import MatrixPair
from qaudit.weights.residuals import EXCESS, Residual
from qaudit.weights.rounding import PLAIN
from qaudit.weights.token_matrices import TokenEvidence
from qaudit.weights.vectors import VectorEvidence

# JSON has no infinity: what has no end is told as this
NO_END = 1e9


def told_tensors(
    pairs: Sequence[MatrixPair],
    evidence: WeightEvidence,
    vectors: Mapping[str, VectorEvidence],
    rest: Mapping[str, Residual],
    packed_as: str | None,
) -> tuple[ComparedTensor, ...]:
    """Return what was seen of every pair, in their order.

    Args:
        pairs: as stored.
        evidence: of the matrices of blocks and tokens.
        vectors: of norms and biases, by name.
        rest: of all other matrices, by name.
        packed_as: how modules are stored whose tensors' own type is no weight's; None for no such.
    """
    looked: dict[str, MatrixEvidence | TokenEvidence] = {m.name: m for m in evidence.matrices}
    looked |= {token.name: token for token in evidence.tokens}
    is_ablation = evidence.kind == "directional_ablation"
    told = []
    for pair in pairs:
        stored = pair.stored if packed_as is None or pair.stored in PLAIN else packed_as
        if pair.name in vectors:
            vector = vectors[pair.name]
            told.append(_told(pair, VECTOR_ROLE, stored, vector.state, Residual(vector.distance, None, 1.0)))
        elif pair.name in rest:
            residual = rest[pair.name]
            told.append(_told(pair, pair.role, stored, _state(residual), residual))
        else:
            told.append(_of_matrix(pair, stored, looked[pair.name], is_ablation=is_ablation))
    return tuple(told)


def _of_matrix(
    pair: MatrixPair, stored: str, found: MatrixEvidence | TokenEvidence, *, is_ablation: bool
) -> ComparedTensor:
    ablated = is_ablation and found.ablated
    spike = found.edge_ratio if isinstance(found, MatrixEvidence) or found.own else 0.0
    if ablated:
        # beside what was taken out, all else may be rounded or not
        rest = found.rest_edge_ratio if isinstance(found, MatrixEvidence) else 0.0
        far = rest >= SPIKE or (found.rest_excess or 0.0) >= EXCESS
        state: TensorState = "changed" if far else "ablated"
    elif isinstance(found, MatrixEvidence) and found.mended:
        state = "changed" if found.beyond_rounding else "unjudged"
    else:
        state = _state(found.residual, spike)
    return _told(
        pair,
        pair.role,
        stored,
        state,
        found.residual,
        edge_ratio=found.edge_ratio,
        strength=found.strength if ablated else None,
    )


def _state(residual: Residual, spike: float = 0.0) -> TensorState:
    excess = residual.excess
    if residual.relative == 0:
        return "identical"
    if spike >= SPIKE or (excess is not None and excess >= EXCESS):
        return "changed"
    return "unjudged" if excess is None else "rounded"


def _told(
    pair: MatrixPair,
    role: str,
    stored: str,
    state: TensorState,
    residual: Residual,
    *,
    edge_ratio: float | None = None,
    strength: float | None = None,
) -> ComparedTensor:
    return ComparedTensor(
        name=pair.name,
        role=role,
        layer=pair.layer,
        stored=stored,
        rows=pair.shape[0],
        columns=pair.shape[1],
        state=state,
        distance=_within(residual.relative),
        expected=None if residual.expected is None else _within(residual.expected),
        excess=None if residual.excess is None else _within(residual.excess),
        edge_ratio=None if edge_ratio is None else _within(edge_ratio),
        strength=None if strength is None else _within(strength),
    )


def _within(figure: float) -> float:
    # a comparison with NaN is false
    return max(float(figure), -NO_END) if figure < NO_END else NO_END
