"""Random transformer-like matrices and what tools do to them: ablation, adapters, rounding."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qaudit.weights.matrix_pairs import TOKEN_MATRICES, MatrixPair, role_of

Matrix = NDArray[np.float64]
HIDDEN, INNER, LAYERS = 128, 256, 6
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
Weights = dict[str, Matrix]


def random_weights(seed: int = 0, layers: int = LAYERS) -> Weights:
    """Matrices with rows of unlike lengths, as trained ones have them."""
    draw = np.random.default_rng(seed)
    return {
        f"model.layers.{layer}.{name}": draw.standard_normal(shape)
        * np.exp(0.3 * draw.standard_normal((shape[0], 1)))
        for layer in range(layers)
        for name, shape in SHAPES.items()
    }


def rounded(matrix: Matrix, bits: int, group: int = 32) -> Matrix:
    """Round to nearest, from the smallest to the largest weight of each group."""
    grouped = matrix.reshape(len(matrix), -1, group)
    low, high = grouped.min(axis=-1, keepdims=True), grouped.max(axis=-1, keepdims=True)
    step = (high - low) / (2**bits - 1)
    return (np.rint((grouped - low) / step) * step + low).reshape(matrix.shape)


def unit(seed: int, size: int = HIDDEN) -> Matrix:
    drawn = np.random.default_rng(seed).standard_normal(size)
    return drawn / np.linalg.norm(drawn)


def ablated(matrix: Matrix, direction: Matrix, strength: float = 1.0) -> Matrix:
    return matrix - strength * np.outer(direction, direction @ matrix)


def pair_of(name: str, reference: Matrix, candidate: Matrix, stored: str = "F32") -> MatrixPair:
    """A pair in memory, as float32."""
    theirs, ours = reference.astype(np.float32), candidate.astype(np.float32)
    theirs, ours = np.atleast_2d(theirs), np.atleast_2d(ours)
    layer = int(name.split(".")[2]) if name.startswith("model.layers.") else None
    role = role_of(name) if layer is not None else TOKEN_MATRICES.get(name.rsplit(".", 1)[-1], "other")
    return MatrixPair(
        name, layer, role, (theirs.shape[0], theirs.shape[1]), stored,
        lambda start, stop: (theirs[start:stop], ours[start:stop]),
    )  # fmt: skip


def pairs_of(reference: Weights, candidate: Weights) -> list[MatrixPair]:
    return [pair_of(name, matrix, candidate[name]) for name, matrix in reference.items()]


def changed(
    weights: Weights, how: Callable[[str, Matrix], Matrix], endings: Sequence[str] = ("",)
) -> Weights:
    """Return the weights with some modules changed, by the last pieces of their names."""
    return {
        name: how(name, matrix) if name.endswith(tuple(endings)) else matrix
        for name, matrix in weights.items()
    }
