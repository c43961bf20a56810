"""weight = (code - zero) * scale, with one zero and scale for each group of inputs and each output."""

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.codecs.bit_packing import Codes
from qaudit.checkpoints.raw_tensors import FloatArray

OUTPUTS_AT_ONCE = 512  # bounds what lies in memory beside the result


def dequantize(codes: Codes, zeros: Codes, scales: FloatArray, group_of: NDArray[np.intp]) -> FloatArray:
    """Return rows of weights.

    A code and a zero have at most 8 bits and a scale at most 11, so that the float32 product is exact.

    Shapes:
        codes uint8 [I, O], inputs by outputs, as AWQ and GPTQ store them; zeros uint8 [G, O];
        scales float32 [G, O]; group_of [I], each below G. Returns float32 [O, I].
    """
    inputs, outputs = codes.shape
    rows = np.empty((outputs, inputs), np.float32)
    # runs of inputs that share a group: whole groups, or single inputs where act-order shuffled them
    edges = np.flatnonzero(np.diff(group_of)) + 1
    in_runs = len(edges) < inputs // 8
    for start in range(0, outputs, OUTPUTS_AT_ONCE):
        part = slice(start, start + OUTPUTS_AT_ONCE)
        weights = codes[:, part].astype(np.float32)
        zero, scale = zeros[:, part].astype(np.float32), scales[:, part]
        # hostile scales may be infinite or NaN: that is for who asked to judge
        with np.errstate(all="ignore"):
            if in_runs:
                for run in np.split(np.arange(inputs), edges):
                    piece = weights[run[0] : run[-1] + 1]
                    piece -= zero[group_of[run[0]]]
                    piece *= scale[group_of[run[0]]]
            else:
                weights -= zero[group_of]
                weights *= scale[group_of]
        rows[part] = weights.T
    return rows
