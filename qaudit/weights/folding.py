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
from qaudit.weights.matrix_pairs import EMBEDDINGS, OUTPUT_MATRIX, MatrixPair

# quantizers leave their scales alone
TOKEN_ROLES = (EMBEDDINGS, OUTPUT_MATRIX)
# who reads a norm's output
READERS = {
    "attention_norm": ("query", "key", "value", "qkv"),
    "feed_forward_norm": ("gate", "up", "gate_up"),
}
# whose rows may be divided -> whose columns are multiplied
CHAINS = {"value": "attention_output", "up": "feed_forward_output"}
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
    by_place: dict[tuple[int, str], MatrixPair] = {}
    for pair in pairs:
        if pair.layer is not None:
            # a family with four norms a block has two in front of the feed-forward part: the later one counts
            by_place[pair.layer, pair.role] = pair
    layers = sorted({layer for layer, _ in by_place})
    result: dict[tuple[int, str], MatrixPair] = dict(by_place)
    for layer in layers:
        for norm, readers in READERS.items():
            scale = _norm_scale(by_place.get((layer, norm)), norm_offset)
            if scale is not None:
                for role in readers:
                    if (layer, role) in result:
                        result[layer, role] = _scaled(result[layer, role], columns=scale)
        for writer, reader in CHAINS.items():
            _undo_chain(result, (layer, writer), (layer, reader))
    replaced = {pair.name: pair for pair in result.values()}
    wanted = [p for p in pairs if p.shape[0] > 1 and (p.layer is not None or p.role in TOKEN_ROLES)]
    return [replaced.get(pair.name, pair) for pair in wanted]


def _norm_scale(norm: MatrixPair | None, offset: float) -> FloatArray | None:
    """Return what the checkpoint's columns must be multiplied by; None where the norms are the same."""
    if norm is None or norm.shape[0] != 1:
        return None
    ((_, reference, candidate),) = norm.blocks()
    ours, theirs = candidate[0] + offset, reference[0] + offset
    usable = (np.abs(theirs) > 0) & (np.abs(ours) > 0)
    ratio = np.where(usable, ours / np.where(usable, theirs, 1), 1).astype(np.float32)
    return None if np.abs(ratio - 1).max() <= SAME_NORM else ratio


def _undo_chain(
    pairs: dict[tuple[int, str], MatrixPair], writer: tuple[int, str], reader: tuple[int, str]
) -> None:
    if writer not in pairs or reader not in pairs or pairs[writer].shape[0] != pairs[reader].shape[1]:
        return  # grouped value heads: nothing can be folded there
    scale = row_scale(pairs[writer])
    if scale is not None:
        pairs[writer] = _scaled(pairs[writer], rows=np.reciprocal(scale))
        pairs[reader] = _scaled(pairs[reader], columns=scale)


def row_scale(pair: MatrixPair) -> FloatArray | None:
    """Return the factor of each of the checkpoint's rows, by least squares; None if all is as well without.

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
