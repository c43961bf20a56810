"""AWQ's "gemm" layout, as AutoAWQ writes and runtimes read it.

`qweight` int32 [I, O/8] and `qzeros` int32 [G, O/8] hold eight neighbouring outputs a word in the order
0 2 4 6 1 3 5 7 from its lowest bit; `scales` float16 [G, O].
"""

from typing import Any

from torch import Tensor

from qaudit.errors import InputError
from realign.kernels.int4_packing import pack_awq
from realign.quantized_linear import QuantizedLinear

BITS = 4
OUTPUTS_TOGETHER = 8


def awq_tensors(linear: QuantizedLinear) -> dict[str, Tensor]:
    """Return the parts of one module.

    Raises:
        InputError: not 4 bits, shuffled inputs, or outputs that are not a multiple of eight.
    """
    outputs = len(linear.codes)
    if linear.bits != BITS or not linear.in_order or outputs % OUTPUTS_TOGETHER:
        raise InputError(
            f"{linear.bits} bits for {outputs} outputs do not fit AWQ: 4 bits, inputs in order, outputs by 8"
        )
    return {
        "qweight": pack_awq(linear.codes),
        "qzeros": pack_awq(linear.zeros),
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
