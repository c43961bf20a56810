"""Logits to natural-log probabilities, in float64 where sums are long."""

import numpy as np

from qaudit.engines.protocol import FloatArray


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return log-probabilities over the last axis.

    Shapes:
        logits: float32 [..., V] -> float32 [..., V]; the normaliser is summed in float64.
    """
    result = np.empty(logits.shape, np.float32)
    width = logits.shape[-1]
    # row by row: the float64 copies of many rows over a large vocabulary would be hundreds of MB
    for row, target in zip(logits.reshape(-1, width), result.reshape(-1, width), strict=True):
        shifted = row.astype(np.float64)
        shifted -= shifted.max()
        target[:] = shifted - np.log(np.exp(shifted).sum())
    return result
