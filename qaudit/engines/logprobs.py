"""Logits to natural-log probabilities, in float64 where sums are long."""

import numpy as np

from qaudit.engines.protocol import FloatArray


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return log-probabilities over the last axis.

    Shapes:
        logits: float32 [..., V] -> float32 [..., V]; the normaliser is summed in float64.
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    result: FloatArray = shifted.astype(np.float32)
    return result
