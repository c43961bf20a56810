"""weight = (code - zero) * scale, with one zero and scale for each group of inputs and each output."""

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.codecs.bit_packing import Codes
from qaudit.checkpoints.raw_tensors import FloatArray

OUTPUTS_AT_ONCE = 256  # what lies in the processor's cache beside the result


def dequantize(codes: Codes, zeros: Codes, scales: FloatArray, group_of: NDArray[np.intp]) -> FloatArray:
    """Return rows of weights.

    A code and a zero have at most 8 bits and a scale at most 11, so that the float32 product is exact.

    Shapes:
        codes uint8 [O, I], a row an output; zeros uint8 [O, G]; scales float32 [O, G];
        group_of [I], each below G. Returns float32 [O, I].
    """
    outputs, inputs = codes.shape
    group = inputs // zeros.shape[1] if zeros.shape[1] else 0
    # whole groups one after the other, or shuffled by act-order (or a last group that is short)
    in_order = group > 0 and inputs % group == 0 and bool((group_of == np.arange(inputs) // group).all())
    rows = np.empty((outputs, inputs), np.float32)
    for start in range(0, outputs, OUTPUTS_AT_ONCE):
        part = slice(start, start + OUTPUTS_AT_ONCE)
        weights = rows[part]
        weights[:] = codes[part]
        zero, scale = zeros[part].astype(np.float32), scales[part]
        # hostile scales may be infinite or NaN: that is for who asked to judge
        with np.errstate(all="ignore"):
            if in_order:
                by_group = weights.reshape(len(weights), -1, group)
                by_group -= zero[:, : by_group.shape[1], None]
                by_group *= scale[:, : by_group.shape[1], None]
            else:
                weights -= zero[:, group_of]
                weights *= scale[:, group_of]
    return rows
