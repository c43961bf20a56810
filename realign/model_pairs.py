"""Two models in memory as pairs of matrices, so that what was done to the weights can be told of them too."""

from typing import Any

import numpy as np
from torch import nn

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.weights.folding import unfolded
from qaudit.weights.matrix_pairs import EMBEDDINGS, OUTPUT_MATRIX, MatrixPair, ReadBoth, role_of
from realign.decoder_blocks import blocks_of, module_name

TOKEN_MODULES = {"model.embed_tokens": EMBEDDINGS, "lm_head": OUTPUT_MATRIX}


def model_pairs(parent: Any, reference: Any) -> list[MatrixPair]:  # noqa: ANN401 - transformers is untyped
    """Return the matrices of the decoder blocks, the parent's in the reference's scales, and those of tokens.

    Args:
        parent: transformers model, float32; not changed.
        reference: another of the same shapes.

    Raises:
        InputError: a family whose blocks are not known here.
    """
    pairs: list[MatrixPair] = []
    both = zip(blocks_of(parent), blocks_of(reference), strict=True)
    for number, (ours, theirs) in enumerate(both):
        weights = dict(theirs.named_parameters())
        for name, parameter in ours.named_parameters():
            module = name.removesuffix(".weight")
            if not name.endswith(".weight"):
                continue
            pairs.append(
                _pair(module_name(number, module), number, role_of(module), parameter, weights[name])
            )
    named = dict(reference.named_parameters())
    for name, parameter in parent.named_parameters():
        # a matrix that is tied to the embeddings is not among them
        module = name.removesuffix(".weight")
        if module in TOKEN_MODULES and name in named:
            pairs.append(_pair(module, None, TOKEN_MODULES[module], parameter, named[name]))
    return unfolded(pairs)


def _pair(name: str, layer: int | None, role: str, ours: nn.Parameter, theirs: nn.Parameter) -> MatrixPair:
    candidate, original = _rows(ours), _rows(theirs)
    shape = (candidate.shape[0], candidate.shape[1])
    return MatrixPair(name, layer, role, shape, "F32", _reader(original, candidate))


def _rows(parameter: nn.Parameter) -> FloatArray:
    values: FloatArray = np.atleast_2d(parameter.detach().float().cpu().numpy())
    return values


def _reader(reference: FloatArray, candidate: FloatArray) -> ReadBoth:
    return lambda start, stop: (reference[start:stop], candidate[start:stop])
