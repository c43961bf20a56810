"""Scales that a quantizer folded from one matrix into another, undone before weights are compared.

AWQ (arXiv 2306.00978) multiplies the columns of a matrix by s and divides by s what writes its input:
a norm's weights, or the rows of the value or up projection. The function stays the same, the weights do
not. Norms are stored as floats, so that theirs is told exactly; the scales of rows are estimated from
the rows themselves, which ablation and low-rank edits of the readers leave alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.weights.matrix_pairs import EMBEDDINGS, OUTPUT_MATRIX, ROUTER, MatrixPair

# quantizers leave their scales alone
TOKEN_ROLES = (EMBEDDINGS, OUTPUT_MATRIX)
# who reads a norm's output
READERS = {
    "attention_norm": ("query", "key", "value", "qkv"),
    "feed_forward_norm": ("gate", "up", "gate_up", ROUTER),
}
# whose rows may be divided -> whose columns are multiplied
CHAINS = {
    "value": "attention_output", "qkv": "attention_output",
    "up": "feed_forward_output", "gate_up": "feed_forward_output",
}  # fmt: skip
# how many times as many rows a matrix may have as its reader has columns: those that it reads are the last
FUSED = {"value": (1,), "qkv": (3,), "up": (1, 2), "gate_up": (2,)}
# of a family with four norms a block the one that the feed-forward part reads
IN_FRONT = "pre_feedforward_layernorm"
# a scale of rows is believed if without it the rows are off by so much more
BELIEVED = 0.8
# norms differ by their rounding to 16 bits (2^-8 for bfloat16)
SAME_NORM = 2.0**-7
# of a scale that is told from weights: beyond this it is a coincidence of noise
LARGEST_SCALE = 1e4


def unfolded(pairs: Sequence[MatrixPair], norm_offset: float = 0.0) -> list[MatrixPair]:
    """Return the matrices of the blocks, the checkpoint's in the reference's scales, and those of tokens.

    Args:
        pairs: of two checkpoints, norms among them.
        norm_offset: what a runtime adds to stored norm weights (1 for Gemma's in Hugging Face layout).
    """
    result = norms_undone(pairs, norm_offset)
    places = _places(pairs)
    for (layer, role), writers in places.items():
        if role in CHAINS:
            # each expert has its own
            readers = {_parent(name): name for name in places.get((layer, CHAINS[role]), ())}
            for name in writers:
                _undo_chain(result, name, readers.get(_parent(name)))
    return [
        result[p.name] for p in pairs if p.shape[0] > 1 and (p.layer is not None or p.role in TOKEN_ROLES)
    ]


def norms_undone(pairs: Sequence[MatrixPair], norm_offset: float = 0.0) -> dict[str, MatrixPair]:
    """Return all by name, those that read a norm with its scale undone; see `unfolded`."""
    result = {pair.name: pair for pair in pairs}
    places = _places(pairs)
    for (layer, role), norm in norms_read(pairs).items():
        scale = _norm_scale(norm, norm_offset)
        if scale is not None:
            for reader in READERS[role]:
                for name in places.get((layer, reader), ()):
                    result[name] = _column_scaled(result[name], scale, sure=reader != ROUTER)
    return result


def _places(pairs: Sequence[MatrixPair]) -> dict[tuple[int, str], list[str]]:
    """Return the names of the matrices at each place, one or as many as there are experts."""
    places: dict[tuple[int, str], list[str]] = {}
    for pair in pairs:
        if pair.layer is not None and pair.shape[0] > 1:
            places.setdefault((pair.layer, pair.role), []).append(pair.name)
    return places


def norms_read(pairs: Sequence[MatrixPair]) -> dict[tuple[int, str], MatrixPair]:
    """Return the norm in front of each part of a block, by layer and role."""
    found: dict[tuple[int, str], MatrixPair] = {}
    for pair in pairs:
        if pair.layer is not None and pair.role in READERS and pair.shape[0] == 1:
            place = pair.layer, pair.role
            if place not in found or not found[place].name.endswith(IN_FRONT):
                found[place] = pair
    return found


def can_be_folded(reference: FloatArray, candidate: FloatArray) -> bool:
    """Whether one norm is the other times a scale, which none is that has zeros elsewhere."""
    return bool(((reference == 0) == (candidate == 0)).all())


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _norm_scale(norm: MatrixPair, offset: float) -> FloatArray | None:
    """Return what the checkpoint's columns must be multiplied by; None where the norms are the same."""
    ((_, reference, candidate),) = norm.blocks()
    ours, theirs = candidate[0] + offset, reference[0] + offset
    usable = (np.abs(theirs) > 0) & (np.abs(ours) > 0)
    ratio = np.where(usable, ours / np.where(usable, theirs, 1), 1).astype(np.float32)
    return None if np.abs(ratio - 1).max() <= SAME_NORM else ratio


def _column_scaled(pair: MatrixPair, scale: FloatArray, *, sure: bool) -> MatrixPair:
    """Scale a reader's columns; one of which not all quantizers think only if it is nearer with it."""
    if len(scale) != pair.shape[1]:
        return pair
    scaled = _scaled(pair, columns=scale)
    return scaled if sure or _off(scaled) < _off(pair) else pair


def _off(pair: MatrixPair) -> float:
    return sum(float(np.square(ours - theirs, dtype=np.float64).sum()) for _, theirs, ours in pair.blocks())


def _undo_chain(pairs: dict[str, MatrixPair], writer: str, reader: str | None) -> None:
    if reader is None:
        return
    outputs, inputs = pairs[writer].shape[0], pairs[reader].shape[1]
    if outputs not in (times * inputs for times in FUSED[pairs[writer].role]):
        return  # grouped value heads: nothing can be folded there
    scale = row_scale(pairs[writer], outputs - inputs)
    if scale is not None:
        pairs[writer] = _scaled(pairs[writer], rows=np.reciprocal(scale))
        pairs[reader] = _scaled(pairs[reader], columns=scale[outputs - inputs :])


def row_scale(pair: MatrixPair, first: int = 0) -> FloatArray | None:
    """Return the factor of each of the checkpoint's rows, by least squares; None if all is as well without.

    Args:
        pair: the two.
        first: the row from which on they may have one; those before have 1.

    Shapes:
        float32 [O].
    """
    factors = np.ones(pair.shape[0], np.float32)
    before = after = 0.0
    for rows, reference, candidate in pair.blocks():
        inner = np.einsum("oi,oi->o", candidate, reference, dtype=np.float64)
        size = np.einsum("oi,oi->o", reference, reference, dtype=np.float64)
        usable = (inner > 0) & (size > 0)
        factor = np.where(usable, inner / np.where(usable, size, 1), 1)
        factor = np.where((factor < LARGEST_SCALE) & (factor > 1 / LARGEST_SCALE), factor, 1)
        factor[: max(first - rows.start, 0)] = 1
        factors[rows] = factor
        before += float(np.square(candidate - reference, dtype=np.float64).sum())
        after += float(np.square(candidate / factor[:, None] - reference, dtype=np.float64).sum())
    return factors if after < BELIEVED * before else None


def _scaled(
    pair: MatrixPair, *, rows: FloatArray | None = None, columns: FloatArray | None = None
) -> MatrixPair:
    def read(start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        reference, candidate = pair.read(start, stop)
        if rows is not None:
            candidate = candidate * rows[start:stop, None]
        if columns is not None:
            candidate = candidate * columns
        return reference, candidate

    if columns is None:
        return replace(pair, read=read)
    before = pair.column_scale
    return replace(pair, read=read, column_scale=columns if before is None else before * columns)
