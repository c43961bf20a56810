"""AWQ's "gemm" layout, as AutoAWQ writes and runtimes read it.

`qweight` int32 [I, O/8] and `qzeros` int32 [G, O/8] hold eight neighbouring outputs a word in the order
0 2 4 6 1 3 5 7 from its lowest bit; `scales` float16 [G, O].
"""

from typing import Any

from torch import Tensor

from qaudit.errors import InputError
from realign.quantized_linear import QuantizedLinear
from realign.writers.word_packing import packed

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
BITS = 4


def awq_tensors(linear: QuantizedLinear) -> dict[str, Tensor]:
    """Return the parts of one module.

    Raises:
        InputError: not 4 bits, shuffled inputs, or outputs that are not a multiple of eight.
    """
    outputs = len(linear.codes)
    if linear.bits != BITS or not linear.in_order or outputs % len(ORDER):
        raise InputError(
            f"{linear.bits} bits for {outputs} outputs do not fit AWQ: 4 bits, inputs in order, outputs by 8"
        )
    return {
        "qweight": _words(linear.codes.T),
        "qzeros": _words(linear.zeros.T),
        "scales": linear.scales.T.contiguous(),
    }


def awq_config(group_size: int) -> dict[str, Any]:
    """Return the quantization_config; every linear layer but the head is packed."""
    return {
        "quant_method": "awq",
        "bits": BITS,
        "group_size": group_size,
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": ["lm_head"],
    }


def _words(codes: Tensor) -> Tensor:
    # [N, O] -> [N, O/8]
    ordered = codes.reshape(len(codes), -1, len(ORDER))[:, :, list(ORDER)]
    return packed(ordered.reshape(codes.shape), BITS)
