"""Two models in memory as pairs of matrices, so that what was done to the weights can be told of them too."""

from typing import Any

import numpy as np
from torch import nn

from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.weights.folding import unfolded
from qaudit.weights.matrix_pairs import MatrixPair, ReadBoth, role_of
from realign.decoder_blocks import blocks_of, module_name


def model_pairs(parent: Any, reference: Any) -> list[MatrixPair]:  # noqa: ANN401 - transformers is untyped
    """Return the matrices of the decoder blocks, the parent's in the reference's scales.

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
            candidate, original = _rows(parameter), _rows(weights[name])
            pairs.append(
                MatrixPair(
                    module_name(number, module),
                    number,
                    role_of(module),
                    (candidate.shape[0], candidate.shape[1]),
                    "F32",
                    _reader(original, candidate),
                )
            )
    return unfolded(pairs)


def _rows(parameter: nn.Parameter) -> FloatArray:
    values: FloatArray = np.atleast_2d(parameter.detach().float().cpu().numpy())
    return values


def _reader(reference: FloatArray, candidate: FloatArray) -> ReadBoth:
    return lambda start, stop: (reference[start:stop], candidate[start:stop])
