"""weight = (code - zero) * scale, with one zero and scale for each group of inputs and each output."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from qaudit.checkpoints.codecs.bit_packing import Codes
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.processors import available_threads

OUTPUTS_AT_ONCE = 128  # what lies in the processor's cache beside the result
# below this a thread costs more than it brings; above so many, memory is the limit
WEIGHTS_FOR_THREADS, MOST_THREADS = 1 << 20, 8


def dequantize(
    codes_of: Callable[[int, int], Codes],
    zeros: Codes,
    scales: FloatArray,
    group_of: NDArray[np.intp],
) -> FloatArray:
    """Return rows of weights.

    A code and a zero have at most 8 bits and a scale at most 11, so that the float32 product is exact.

    Args:
        codes_of: unpacks outputs [start, stop); called from several threads at once.
        zeros: of each output and group.
        scales: of each output and group.
        group_of: the group of each input.

    Shapes:
        codes_of returns uint8 [stop - start, I], a row an output; zeros uint8 [O, G]; scales float32
        [O, G]; group_of [I], each below G. Returns float32 [O, I].
    """
    outputs, inputs = len(zeros), len(group_of)
    group = inputs // zeros.shape[1] if zeros.shape[1] else 0
    # whole groups one after the other, or shuffled by act-order (or a last group that is short)
    in_order = group > 0 and inputs % group == 0 and bool((group_of == np.arange(inputs) // group).all())
    rows = np.empty((outputs, inputs), np.float32)

    def decode(start: int) -> None:
        stop = min(outputs, start + OUTPUTS_AT_ONCE)
        weights = rows[start:stop]
        weights[:] = codes_of(start, stop)
        zero, scale = zeros[start:stop].astype(np.float32), scales[start:stop]
        # hostile scales may be infinite or NaN: that is for who asked to judge
        with np.errstate(all="ignore"):
            if in_order:
                by_group = weights.reshape(len(weights), -1, group)
                by_group -= zero[:, : by_group.shape[1], None]
                by_group *= scale[:, : by_group.shape[1], None]
            else:
                weights -= zero[:, group_of]
                weights *= scale[:, group_of]

    starts = range(0, outputs, OUTPUTS_AT_ONCE)
    threads = min(len(starts), MOST_THREADS, available_threads())
    if threads < 2 or rows.size < WEIGHTS_FOR_THREADS:
        for start in starts:
            decode(start)
    else:
        # numpy lets go of the interpreter while it works through a block
        with ThreadPoolExecutor(threads, "qaudit-decode") as pool:
            for _ in pool.map(decode, starts):
                pass
    return rows
